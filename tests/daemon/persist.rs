//! get_persist and set_persist through the real queue.

use crate::support::{Daemon, PATIENCE, fresh_key, program};
use kerneld_persist::{Change, Key};
use kerneld_protocol::client::Answer;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const GET: Command = Command::Other(20);
const SET: Command = Command::Other(21);

fn start(dir: TempDir) -> Daemon {
    let config = dir.path().join("kerneld.toml");
    let file = dir.path().join("persist.gdbm");
    let text = format!("[persist]\nfile = '{}'\nget-number = 20\nset-number = 21\n", file.display());
    fs::write(&config, text).unwrap();
    let config = format!("--config={}", config.display());
    Daemon::start_in(dir, fresh_key(), &[&config])
}

fn started() -> Daemon {
    start(TempDir::new().unwrap())
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn ask(daemon: &Daemon, layout: Layout, command: Command, text: &[u8]) -> Answer {
    daemon.client(layout).ask(command, text, Some(PATIENCE)).unwrap()
}

fn admpersist(dir: &Path, words: &[&str]) -> String {
    let config = dir.join("kerneld.toml");
    let output = program("admpersist").arg("--config").arg(config).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn drivers_of_every_layout_set_get_and_delete() {
    let daemon = started();
    for layout in Layout::ALL {
        // A key of one letter makes a record that begins like a header of the new protocol.
        for name in ["k", "sb_irq"] {
            let value = [5, 0, 0, 0, 1, 2, 3];
            let set = Change::Set(key(name), value.to_vec()).encode_for(layout.byte_order());
            assert_eq!(ask(&daemon, layout, SET, &set).status, 0, "{layout} {name}");
            let got = ask(&daemon, layout, GET, name.as_bytes());
            assert_eq!((got.status, &got.text[..]), (7, &value[..]), "{layout} {name}");
            let delete = Change::Delete(key(name)).encode_for(layout.byte_order());
            assert_eq!(ask(&daemon, layout, SET, &delete).status, 0);
            let got = ask(&daemon, layout, GET, name.as_bytes());
            assert_eq!((got.status, &got.text[..]), (0, &b""[..]), "{layout} {name}");
        }
    }
}

#[test]
fn admpersist_and_the_daemon_see_the_same() {
    let daemon = started();
    admpersist(daemon.dir.path(), &["sb_irq=5,-1"]);
    let got = ask(&daemon, Layout::Lp64New, GET, b"sb_irq");
    assert_eq!((got.status, got.text), (8, [5i32, -1].map(i32::to_ne_bytes).concat()));
    let set = Change::Set(key("volume"), 75i32.to_ne_bytes().to_vec()).encode();
    ask(&daemon, Layout::Lp64New, SET, &set);
    assert_eq!(admpersist(daemon.dir.path(), &[]), "sb_irq=0x5,0xffffffff\nvolume=0x4b\n");
}

#[test]
fn what_was_answered_survives_the_daemons_death() {
    let mut daemon = started();
    let set = Change::Set(key("volume"), 75i32.to_ne_bytes().to_vec()).encode();
    assert_eq!(ask(&daemon, Layout::Ilp32New, SET, &set).status, 0);
    daemon.signal(Signal::SIGKILL);
    daemon.process.wait().unwrap();
    assert_eq!(admpersist(daemon.dir.path(), &[]), "volume=0x4b\n");
    daemon.queue().remove().unwrap();
}

#[test]
fn broken_records_are_refused_and_change_nothing() {
    let daemon = started();
    admpersist(daemon.dir.path(), &["volume=75"]);
    let cut = &Change::Set(key("volume"), vec![1, 2, 3, 4]).encode()[..18];
    for text in [&b""[..], b"short", cut, &[0xff; 40]] {
        assert_eq!(ask(&daemon, Layout::Lp64New, SET, text).status, -libc::EINVAL, "{text:?}");
    }
    assert_eq!(ask(&daemon, Layout::Lp64New, GET, b"").status, -libc::EINVAL);
    assert_eq!(ask(&daemon, Layout::Lp64New, SET, &[0; 12]).status, 0, "keylen 0 is ignored");
    assert_eq!(admpersist(daemon.dir.path(), &[]), "volume=0x4b\n");
}

#[test]
fn a_store_that_cannot_be_read_is_an_error_to_the_driver_too() {
    let daemon = started();
    fs::write(daemon.dir.path().join("persist.gdbm"), "something else").unwrap();
    assert_eq!(ask(&daemon, Layout::Lp64New, GET, b"volume").status, -libc::EIO);
    let set = Change::Set(key("volume"), vec![1]).encode();
    assert_eq!(ask(&daemon, Layout::Lp64New, SET, &set).status, -libc::EIO);
    assert!(daemon.log().contains("no usable GDBM database"));
}

#[test]
fn changes_of_a_key_happen_in_their_order() {
    let daemon = started();
    let client = daemon.client(Layout::Lp64New);
    let set = |value| Change::Set(key("k"), vec![value]).encode();
    for value in 0..100 {
        client.post(SET, &set(value), Some(PATIENCE)).unwrap();
    }
    // The lowest number is read first: without this, the get would overtake the sets.
    ask(&daemon, Layout::Lp64New, SET, &set(99));
    assert_eq!(ask(&daemon, Layout::Lp64New, GET, b"k\0").text, [99]);
}

#[test]
fn a_value_longer_than_a_message_is_refused_and_not_left_unanswered() {
    let daemon = started();
    let store = kerneld_persist::Store::new(daemon.dir.path().join("persist.gdbm"));
    store.apply(&[Change::Set(key("long"), vec![1; 9000])]).unwrap();
    assert_eq!(ask(&daemon, Layout::Lp64New, GET, b"long\0").status, -libc::E2BIG);
}
