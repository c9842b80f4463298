//! A journal, replayed.

use assert_cmd::Command;
use kerneld_journal::{DEFAULT_LIMIT, Journal, Started};
use kerneld_protocol::request::{Command as Asked, ReplyTo};
use kerneld_protocol::wire::Layout;
use std::path::Path;
use std::time::Duration;

fn compare(dir: &Path) -> (i32, String) {
    std::fs::write(dir.join("none.toml"), "").unwrap();
    let output = Command::cargo_bin("kerneld-compare")
        .unwrap()
        .args(["--new=model", "--differences=none.toml", "--all", "--trace", "."])
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn requests_come_and_helpers_behave_as_they_did() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), DEFAULT_LIMIT, Started::now("0", 1, 2)).unwrap();
    let wanted = ReplyTo { id: 5000, layout: Layout::Ilp32New, pid: 9 };
    let first = journal.accepted(Asked::RequestModule, b"ppp", wanted, None);
    journal.began(first, ["/sbin/modprobe", "-q", "--", "ppp"], Some(9), 100);
    journal.finished(first, Some(Duration::from_millis(1_200)), 7, 0, [first]);
    journal.accepted(Asked::ReleaseModule, b"slip", ReplyTo { id: 0, ..wanted }, None);
    let (status, text) = compare(dir.path());
    assert_eq!(status, 0, "{text}");
    for seen in ["2 requests", "status 7", "after 1 s", "unload 'slip'"] {
        assert!(text.contains(seen), "{seen} is missing: {text}");
    }
}

#[test]
fn a_folder_without_a_journal_cannot_be_replayed() {
    let (status, text) = compare(tempfile::tempdir().unwrap().path());
    assert!(status == 2 && text.contains("holds no request"), "{text}");
}
