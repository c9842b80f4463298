//! The journal as its daemon writes it and as others read it, on real files.

use kerneld_journal::{
    Accepted, Answered, Began, DEFAULT_LIMIT, Ended, Event, Follow, Journal, Problem, Reader, Record,
    Recovered, Started, Text, current, previous,
};
use kerneld_protocol::request::{Command, ReplyTo};
use kerneld_protocol::sender::{Evidence, Sender};
use kerneld_protocol::wire::Layout;
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const REPLY: ReplyTo = ReplyTo { id: 1077, layout: Layout::Lp64New, pid: 77 };

fn started(boot_id: &str) -> Started {
    Started { version: "1".into(), pid: 5, queue: 9, key: 0x6b65_726e, boot_id: boot_id.into() }
}

fn open(dir: &Path, limit: u64) -> (Journal, Recovered) {
    Journal::open(dir, limit, started("this boot")).unwrap()
}

fn load(journal: &Journal, name: &str) -> u64 {
    journal.accepted(Command::RequestModule, name.as_bytes(), REPLY, None)
}

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

fn read(dir: &Path) -> Vec<Result<Record, Problem>> {
    Reader::open(dir).unwrap().collect()
}

fn events(dir: &Path) -> Vec<Event> {
    read(dir).into_iter().map(|record| record.unwrap().event).collect()
}

fn texts(recovered: &Recovered) -> Vec<(u64, String)> {
    recovered.requests.iter().map(|open| (open.request, open.text.to_string())).collect()
}

fn append(dir: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(current(dir)).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_request_is_recorded_from_its_coming_to_its_answer() {
    let dir = dir();
    let (journal, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(recovered, Recovered::default());
    let sender = Sender { pid: 77, comm: Some("pppd".into()), evidence: Evidence::Both };
    let request = journal.accepted(Command::RequestModule, b"ppp", REPLY, Some(sender.clone()));
    journal.began(request, ["/sbin/modprobe", "-q", "--", "ppp"], Some(77), 4000);
    journal.finished(request, Some(Duration::from_millis(3)), 1, 0, [request]);
    let argv = ["/sbin/modprobe", "-q", "--", "ppp"].map(|word| Text::from(word.as_bytes())).to_vec();
    let expected = [
        Event::Started(started("this boot")),
        Event::Accepted(Accepted {
            request: 1,
            command: 2,
            text: Text(b"ppp".to_vec()),
            reply: REPLY,
            sender: Some(sender),
        }),
        Event::Began(Began { job: 1, argv, trigger: Some(77), pid: 4000 }),
        Event::Ended(Ended { job: 1, status: 1, micros: 3000 }),
        Event::Answered(Answered { request: 1, status: 1, length: 0, job: Some(1) }),
    ];
    assert_eq!(events(dir.path()), expected);
}

#[test]
fn what_was_not_answered_is_recovered_in_order_under_its_number() {
    let dir = dir();
    {
        let (journal, _) = open(dir.path(), DEFAULT_LIMIT);
        for name in ["a", "b", "c"] {
            load(&journal, name);
        }
        journal.answered(2, 0, 0);
    }
    let (journal, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(texts(&recovered), [(1, "a".to_owned()), (3, "c".to_owned())]);
    assert_eq!(recovered.previous, Some(started("this boot")));
    journal.answered(1, -4, 0);
    assert_eq!(load(&journal, "d"), 4);
    drop(journal);
    let (_, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(texts(&recovered), [(3, "c".to_owned()), (4, "d".to_owned())]);
}

#[test]
fn nothing_is_recovered_from_an_earlier_boot() {
    let dir = dir();
    let (journal, _) = Journal::open(dir.path(), DEFAULT_LIMIT, started("an earlier boot")).unwrap();
    load(&journal, "a");
    drop(journal);
    let (journal, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(recovered.requests, []);
    assert_eq!(recovered.previous.unwrap().boot_id, "an earlier boot");
    assert_eq!(load(&journal, "b"), 2);
    drop(journal);
    assert_eq!(texts(&open(dir.path(), DEFAULT_LIMIT).1), [(2, "b".to_owned())]);
}

#[test]
fn open_requests_outlive_every_rotation_and_the_files_stay_bounded() {
    let dir = dir();
    let limit = 2000;
    let (journal, _) = open(dir.path(), limit);
    let kept = [load(&journal, "first"), load(&journal, "second")];
    for _ in 0..200 {
        let request = load(&journal, "passing");
        journal.answered(request, 0, 0);
    }
    let sizes = [current(dir.path()), previous(dir.path())].map(|path| fs::metadata(path).unwrap().len());
    assert!(sizes.iter().all(|size| *size < limit + 1500), "{sizes:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    drop(journal);

    // Once each, though both files hold them.
    let carried: Vec<_> = read(dir.path()).into_iter().map(Result::unwrap).filter(|r| r.carried).collect();
    assert_eq!(carried.len(), 3);
    assert!(matches!(carried[0].event, Event::Started(_)));
    let (_, recovered) = open(dir.path(), limit);
    assert_eq!(texts(&recovered), [(kept[0], "first".to_owned()), (kept[1], "second".to_owned())]);
    assert_eq!(recovered.problems, []);
}

#[test]
fn a_torn_last_line_is_reported_and_harms_no_other() {
    let dir = dir();
    load(&open(dir.path(), DEFAULT_LIMIT).0, "a");
    append(dir.path(), br#"{"at":17,"event":"answered","requ"#);
    let (journal, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(texts(&recovered), [(1, "a".to_owned())]);
    assert_eq!(recovered.problems.len(), 1);
    assert_eq!((&recovered.problems[0].file, recovered.problems[0].line), (&current(dir.path()), 3));
    assert!(recovered.problems[0].to_string().contains("cut short"), "{}", recovered.problems[0]);
    load(&journal, "b");
    let (records, problems): (Vec<_>, Vec<_>) = read(dir.path()).into_iter().partition(Result::is_ok);
    assert_eq!((records.len(), problems.len()), (4, 1));
}

#[test]
fn garbage_is_reported_by_file_and_line_and_the_rest_is_read() {
    let dir = dir();
    let (journal, _) = open(dir.path(), DEFAULT_LIMIT);
    append(dir.path(), b"\xff\x00 not JSON\n{\"at\":1,\"event\":\"danced\"}\n\n{\"at\":-1}\n");
    load(&journal, "a");
    drop(journal);
    let (_, recovered) = open(dir.path(), DEFAULT_LIMIT);
    assert_eq!(texts(&recovered), [(1, "a".to_owned())]);
    assert_eq!(recovered.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 3, 5]);
}

#[test]
fn a_journal_that_cannot_be_written_is_said_at_the_start() {
    let dir = dir();
    let error = Journal::open(&dir.path().join("missing"), 1, started("")).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}

#[test]
fn a_reader_goes_on_across_rotations() {
    let dir = dir();
    let (journal, _) = open(dir.path(), 500);
    let mut reader = Reader::open(dir.path()).unwrap();
    let mut numbers = Vec::new();
    let mut last = 0;
    for _ in 0..100 {
        last = load(&journal, "a");
        journal.answered(last, 0, 0);
        numbers.extend(reader.by_ref().filter_map(|record| match record.unwrap().event {
            Event::Accepted(accepted) => Some(accepted.request),
            _ => None,
        }));
    }
    assert!(previous(dir.path()).exists());
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_follower_sleeps_until_something_is_written() {
    let dir = dir();
    let (journal, _) = open(dir.path(), 2000);
    let mut follow = Follow::open(dir.path()).unwrap();
    assert_eq!(follow.ready().count(), 1);
    let (told, tells) = mpsc::channel();
    // Ends with the journal.
    let follower = thread::spawn(move || {
        while follow.wait().is_ok() {
            for record in follow.ready() {
                if let Event::Answered(answered) = record.unwrap().event {
                    told.send(answered.request).unwrap();
                }
            }
        }
    });
    for _ in 0..300 {
        let request = load(&journal, "a");
        journal.answered(request, 0, 0);
        assert_eq!(tells.recv_timeout(Duration::from_secs(60)), Ok(request));
    }
    assert!(previous(dir.path()).exists());
    dir.close().unwrap();
    follower.join().unwrap();
}

fn layouts() -> impl Strategy<Value = Layout> {
    proptest::sample::select(Layout::ALL.to_vec())
}

fn senders() -> impl Strategy<Value = Option<Sender>> {
    let evidence = proptest::sample::select(vec![Evidence::Both, Evidence::Request, Evidence::Queue]);
    let sender = (any::<i32>(), any::<Option<String>>(), evidence);
    proptest::option::of(sender.prop_map(|(pid, comm, evidence)| Sender { pid, comm, evidence }))
}

#[test]
fn a_number_that_no_request_can_have_is_not_gone_on_from() {
    let dir = dir();
    load(&open(dir.path(), DEFAULT_LIMIT).0, "a");
    let text = fs::read_to_string(current(dir.path())).unwrap();
    let line = text.lines().find(|line| line.contains("\"request\":1,")).unwrap();
    let damaged = line.replace("\"request\":1,", &format!("\"request\":{},", u64::MAX));
    append(dir.path(), format!("{damaged}\n").as_bytes());
    assert_eq!(load(&open(dir.path(), DEFAULT_LIMIT).0, "b"), 2);
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || any::<Vec<u8>>().prop_map(Text);
    let accepted = (any::<u64>(), any::<i64>(), text(), any::<(i32, i16)>(), layouts(), senders()).prop_map(
        |(request, command, text, (id, pid), layout, sender)| {
            Event::Accepted(Accepted { request, command, text, reply: ReplyTo { id, layout, pid }, sender })
        },
    );
    let began = (any::<u64>(), proptest::collection::vec(text(), 0..5), any::<(Option<i16>, u32)>())
        .prop_map(|(job, argv, (trigger, pid))| Event::Began(Began { job, argv, trigger, pid }));
    let ended = any::<(u64, i32, u64)>()
        .prop_map(|(job, status, micros)| Event::Ended(Ended { job, status, micros }));
    let answered = any::<(u64, i32, u64, Option<u64>)>().prop_map(|(request, status, length, job)| {
        Event::Answered(Answered { request, status, length, job })
    });
    let started = any::<(String, u32, i32, i32, String)>().prop_map(|(version, pid, queue, key, boot_id)| {
        Event::Started(Started { version, pid, queue, key, boot_id })
    });
    prop_oneof![accepted, began, ended, answered, started]
}

proptest! {
    #[test]
    fn every_record_is_one_line_and_comes_back(
        at in any::<u64>(), carried in any::<bool>(), event in any_event(),
    ) {
        let record = Record { at, carried, event };
        let line = serde_json::to_string(&record).unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn any_bytes_for_a_journal_are_read_to_their_end(bytes in any::<Vec<u8>>()) {
        let dir = dir();
        fs::write(current(dir.path()), &bytes).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        let (_, recovered) = open(dir.path(), DEFAULT_LIMIT);
        prop_assert_eq!(recovered.problems.len(), lines);
    }
}
