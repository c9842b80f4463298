//! The recorded answers of the historical kerneld against ours, in every layout.

use crate::support::{Daemon, PATIENCE};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;

use kerneld_test_support::answers::{Recorded, recorded};

/// kdstat's text with what differs from run to run, and the version, written as in the vectors.
fn as_recorded(text: &str, daemon: &Daemon) -> String {
    let version = format!("Version {}, pid={}", env!("CARGO_PKG_VERSION"), daemon.process.id());
    text.replace(&version, "Version 2.4.27, pid=P")
}

#[test]
fn kdstats_words_are_answered_to_the_letter() {
    let daemon = Daemon::start(&["delay=2"]);
    let words = |vector: &Recorded| vector.mtype == 255 && !vector.note.starts_with("while");
    let mut seen = 0;
    for vector in recorded().iter().filter(|vector| words(vector)) {
        let layout = vector.layout();
        let client = daemon.client(layout);
        if vector.request_text == "flush" {
            client.post(Command::Other(400), b"foreign", None).unwrap();
            client.post(Command::Other(401), b"foreign", None).unwrap();
        }
        let answer = client.ask(Command::Debug, vector.request_text.as_bytes(), Some(PATIENCE)).unwrap();
        assert_eq!(i64::from(answer.status), vector.status);
        let text = String::from_utf8(answer.text).unwrap();
        assert_eq!(as_recorded(&text, &daemon), vector.answer_text, "{} {}", layout, vector.request_text);
        client.ask(Command::Debug, b"nokeep nodebug delay=2", Some(PATIENCE)).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 32);
}

#[test]
fn a_running_job_is_listed_with_its_helpers_pid_and_its_sender() {
    for (layout, sender) in [
        (Layout::Ilp32Old, String::new()),
        (Layout::Lp64New, { format!(" from pid {}", std::process::id() as i16) }),
    ] {
        let daemon = Daemon::start(&["delay=2"]);
        daemon.client(layout).post(Command::RequestModule, b"wait", None).unwrap();
        crate::support::wait_for("the helper", || daemon.records().len() == 1);
        let pid = daemon.records()[0].pid;
        let expected = format!(
            "Version 2.4.27, pid=P, delay=2, nokeep, nodebug\njob queue:\npid {pid}, type request_module ('wait'){sender}\n"
        );
        assert_eq!(as_recorded(&daemon.kdstat(""), &daemon), expected);
    }
}

#[test]
fn answers_to_modules_and_unknown_numbers_are_the_recorded_bytes() {
    let daemon = Daemon::start(&["delay=2"]);
    let served = |vector: &&Recorded| matches!(vector.mtype, 2 | 3 | 8 | 100) && vector.answer_hex.is_some();
    for vector in recorded().iter().filter(served) {
        let layout = vector.layout();
        let name = vector.request_text.as_bytes();
        let reply = kerneld_protocol::request::ReplyTo { id: 5000, layout, pid: 77 };
        let queue = daemon.queue();
        queue.send(vector.mtype, &reply.answer(5000, name)).unwrap();
        let mut buffer = kerneld_protocol::queue::Buffer::default();
        queue.receive(kerneld_protocol::queue::Select::Exactly(5000), &mut buffer).unwrap();
        let hex: String = buffer.mtext().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(&hex), vector.answer_hex.as_ref(), "{layout} {}", vector.request_text);
    }
}

#[test]
fn flush_spares_requests_and_answers_that_somebody_waits_for() {
    let daemon = Daemon::start(&[]);
    let queue = daemon.queue();
    let reply = kerneld_protocol::request::ReplyTo { id: 6000, layout: Layout::Lp64New, pid: 1 };
    queue.send(2, &reply.answer(6000, b"ppp")).unwrap();
    crate::support::wait_for("the helper", || daemon.records().len() == 1);
    crate::support::wait_for("the answer to lie there", || queue.stat().unwrap().messages == 1);
    queue.send(700, b"foreign").unwrap();
    assert!(daemon.kdstat("flush").starts_with("flushed 1 entries\nVersion "));
    let mut buffer = kerneld_protocol::queue::Buffer::default();
    assert!(queue.try_receive(kerneld_protocol::queue::Select::Exactly(6000), &mut buffer).unwrap());
}
