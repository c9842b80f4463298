//! `kdstat` on a journal that the real writer wrote.

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use kerneld_journal::{DEFAULT_LIMIT, Journal, Started, previous};
use kerneld_protocol::request::{self, ReplyTo};
use kerneld_protocol::sender::{Evidence, Sender};
use kerneld_protocol::wire::Layout;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn journal(dir: &Path) -> Journal {
    Journal::open(dir, DEFAULT_LIMIT, Started::now("1", 1, 1)).unwrap().0
}

fn request(journal: &Journal, comm: &str, name: &[u8], status: i32) {
    let reply = ReplyTo { id: 1, layout: Layout::Lp64New, pid: 77 };
    let sender = Sender { pid: 77, comm: Some(comm.into()), evidence: Evidence::Both };
    let number = journal.accepted(request::Command::RequestModule, name, reply, Some(sender));
    journal.began(number, ["/sbin/modprobe", "--", "x"], None, 1);
    journal.finished(number, Some(Duration::from_millis(1)), status, 0, [number]);
}

fn kdstat(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("kdstat"));
    command.args(args).arg("--state-dir").arg(dir);
    command
}

fn output(mut command: Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

#[test]
fn senders_are_counted() {
    let dir = TempDir::new().unwrap();
    let journal = journal(dir.path());
    request(&journal, "pppd", b"ppp", 0);
    request(&journal, "\x1b[31mred", b"\xff\x1b", 1);
    request(&journal, "pppd", b"ppp", 0);
    let table = output(kdstat(dir.path(), &["senders"]));
    let row = table.lines().find(|line| line.contains("pppd")).unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words[..5], ["pppd", "77", "request_module", "'ppp'", "2"], "{table}");
    assert!(table.contains("3 requests since 2") && !table.contains('\x1b'), "{table}");

    let json: Value = serde_json::from_str(&output(kdstat(dir.path(), &["senders", "--json"]))).unwrap();
    assert_eq!(json["requests"], 3);
    let senders = json["senders"].as_array().unwrap();
    let count = |comm| senders.iter().find(|sent| sent["comm"] == comm).unwrap()["count"].clone();
    assert_eq!((count("pppd"), count("\x1b[31mred")), (2.into(), 1.into()));
    assert!(senders.iter().any(|sent| sent["text"]["hex"] == "ff1b"), "{json}");
}

#[test]
fn a_journal_that_is_not_there_is_said() {
    let dir = TempDir::new().unwrap();
    for args in [&["senders"][..], &["senders", "--json"]] {
        let run = kdstat(dir.path(), args).assert().code(1);
        let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(stderr.contains("has no journal"), "{stderr}");
    }
    let run = kdstat(&dir.path().join("missing"), &["watch"]).timeout(Duration::from_secs(60)).assert();
    run.code(1);
}

#[test]
fn garbage_is_said_by_file_and_line() {
    let dir = TempDir::new().unwrap();
    drop(journal(dir.path()));
    std::fs::write(previous(dir.path()), "garbage\n").unwrap();
    let run = kdstat(dir.path(), &["senders"]).assert().success();
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(stderr.contains("journal.1:1: "), "{stderr}");
}

/// A running `kdstat watch`.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut command = std::process::Command::new(cargo_bin!("kdstat"));
        let command = command.arg("watch").args(args).arg("--state-dir").arg(dir).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Watch { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("our child can be ended");
    }
}

#[test]
fn watch_shows_requests_as_they_are_answered() {
    let dir = TempDir::new().unwrap();
    let journal = journal(dir.path());
    request(&journal, "pppd", b"past", 0);
    let mut all = Watch::start(dir.path(), &["--all"]);
    assert!(all.line().starts_with("TIME"));
    assert!(all.line().contains("pppd[77]             request_module 'past'"));
    request(&journal, "mount", b"nfs", -19);
    let line = all.line();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1], "-ENODEV", "{line}");
    let expected = ["mount[77]", "request_module", "'nfs'", "/sbin/modprobe", "--", "x"];
    assert_eq!(words[3..], expected, "{line}");
    assert!(!line.contains('\x1b'), "no colour into a pipe: {line:?}");
}

#[test]
fn watch_writes_json_a_line_each() {
    let dir = TempDir::new().unwrap();
    let journal = journal(dir.path());
    request(&journal, "pppd", b"ppp", 3);
    let json: Value = serde_json::from_str(&Watch::start(dir.path(), &["--all", "--json"]).line()).unwrap();
    assert_eq!(
        (&json["status"], &json["text"], &json["sender"]["comm"]),
        (&3.into(), &"ppp".into(), &"pppd".into())
    );
    assert_eq!(json["ran"], serde_json::json!(["/sbin/modprobe", "--", "x"]));
}

#[test]
fn watch_begins_with_what_comes_next() {
    let dir = TempDir::new().unwrap();
    let journal = journal(dir.path());
    request(&journal, "pppd", b"past", 0);
    let mut watch = Watch::start(dir.path(), &[]);
    assert!(watch.line().starts_with("TIME"));
    request(&journal, "pppd", b"new", 0);
    let line = watch.line();
    assert!(line.contains("'new'"), "{line}");
}
