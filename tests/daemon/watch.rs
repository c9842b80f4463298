//! What kdstat shows of a real daemon's journal.

use crate::support::{Daemon, program};
use kerneld_protocol::request::Command;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[test]
fn watch_shows_each_request_as_it_is_answered() {
    let daemon = Daemon::start(&[]);
    let mut watch = program("kdstat")
        .args(["watch", "--json", "--all", "--state-dir"])
        .arg(daemon.dir.path().join("state"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for (name, status) in [("exit7", 7), ("-C/x", -libc::EINVAL)] {
        daemon.status(Command::RequestModule, name);
        let shown = json(&lines.next().unwrap().unwrap());
        assert_eq!(shown["status"], status, "{shown}");
        assert_eq!(shown["text"], name, "{shown}");
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn senders_counts_who_asked_for_what() {
    let daemon = Daemon::start(&[]);
    for _ in 0..3 {
        daemon.status(Command::RequestModule, "exit7");
    }
    let output = program("kdstat")
        .args(["senders", "--json", "--state-dir"])
        .arg(daemon.dir.path().join("state"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("exit7") && text.contains('3'), "{text}");
}

#[test]
fn state_as_json() {
    let daemon = Daemon::start(&["delay=7"]);
    let output =
        program("kdstat").args(["--key", &daemon.key.to_string(), "--json", "keep"]).output().unwrap();
    let state = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((state["delay"].clone(), state["keep"].clone()), (7.into(), true.into()), "{state}");
}
