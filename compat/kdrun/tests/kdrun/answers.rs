//! The queue is found by every kind of program, in every way, and nothing else is.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use kerneld_protocol::client::Client;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;

use crate::support::{Asker, Place, asleep, in_msgget};
use kerneld_test_support::as_root;
use kerneld_test_support::compiler::CC32;
use kerneld_test_support::daemon::{Daemon, text};

#[test]
fn every_kind_of_program_sends_and_gets_its_answer() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for client in place.every_client() {
        for (words, status) in
            [(["ask", "2", "exit0"], 0), (["ask", "2", "exit7"], 7), (["exec", "2", "exit7"], 7)]
        {
            let output = place.run(&client, &words);
            let said = text(&output.stderr);
            assert_eq!(
                (output.status.code(), &said[..]),
                (Some(status), ""),
                "{} {words:?}",
                client.display()
            );
        }
    }
    place.all_supervisors_end();
}

#[test]
fn every_way_of_asking_on_i386_finds_the_queue() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.client(&CC32, &[]) else { return };
    for way in ["libc", "ipc", "ipc-versioned", "msgget"] {
        let output = place.run(&client, &["open", way]);
        assert_eq!(text(&output.stdout), daemon.id(), "{way}");
    }
}

#[test]
fn a_queue_named_by_its_id_is_found_too() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.plain_client() else { return };
    let elsewhere = Place::new();
    let run = |id: &str| {
        let mut kdrun = std::process::Command::new(elsewhere.path("kdrun"));
        kdrun.args(["--qid", id]).arg(&client).args(["open", "libc"]).output().unwrap()
    };
    assert_eq!(text(&run(&daemon.id()).stdout), daemon.id());
    let gone = Daemon::start(&elsewhere, 0o600).id(); // removed at once
    assert_eq!(text(&run(&gone).stdout), "No such device");
}

#[test]
fn a_program_keeps_its_own_queues() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    for client in place.every_client() {
        let output = place.run(&client, &["ordinary"]);
        assert_eq!(output.status.code(), Some(0), "{}", client.display());
        assert_ne!(text(&output.stdout), daemon.id(), "{}", client.display());
    }
}

#[test]
fn without_a_daemon_there_is_no_device() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let output = place.run(&client, &["open", "libc"]);
    assert_eq!((output.status.code(), &text(&output.stdout)[..]), (Some(1), "No such device"));
}

#[test]
fn a_call_waits_for_the_daemon_when_told_to() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut waiting = place.kdrun();
    let waiting = waiting.args(["--wait", "600"]).arg(&client).args(["open", "libc"]);
    let child = waiting.stdout(Stdio::piped()).spawn().unwrap();
    in_msgget(child.id());
    let daemon = Daemon::start(&place, 0o600);
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), daemon.id());
}

#[test]
fn a_wait_ends_with_the_time_given() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let output = place.kdrun().args(["--wait", "1"]).arg(client).args(["open", "libc"]).output().unwrap();
    assert_eq!(text(&output.stdout), "No such device");
}

#[test]
fn a_new_queue_of_the_same_key_is_found_by_a_running_program() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut asker = Asker::start(place.kdrun().arg(client));
    let mut ask = || asker.ask("open");
    assert_eq!(ask(), "No such device");
    for _ in 0..3 {
        let daemon = Daemon::start(&place, 0o600);
        assert_eq!(ask(), daemon.id());
        drop(daemon);
        assert_eq!(ask(), "No such device");
    }
    assert!(asker.end().success());
}

/// kdsound's 300 and arpd's 256 are not kerneld's: the program gets them, the daemon the rest.
#[test]
fn an_old_listener_shares_the_queue_with_the_daemon() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    for client in place.every_client() {
        for mtype in [256, 300] {
            let mut kdrun = place.kdrun();
            let kdrun = kdrun.arg(&client).args(["listen", &mtype.to_string()]).stdout(Stdio::piped());
            let mut listener = kdrun.spawn().unwrap();
            let mut ready = String::new();
            BufReader::new(listener.stdout.take().unwrap()).read_line(&mut ready).unwrap();
            assert_eq!(ready, "listening\n");
            let sender = Client::on(daemon.queue, layout_of(&client));
            let answer = sender.ask(Command::Other(mtype), b"beep", None).unwrap();
            assert_eq!((answer.status, &answer.text[..]), (0, &b"beep"[..]), "{}", client.display());
            assert_eq!(sender.ask(Command::RequestModule, b"exit3", None).unwrap().status, 3);
            assert!(listener.wait().unwrap().success());
        }
    }
}

/// The queue of old lived until its last user ended, so that kerneld could be restarted under kdsound or arpd.
#[test]
fn a_listener_receives_before_during_and_after_a_restart_of_the_daemon() {
    if !as_root() {
        return;
    }
    let place = Place::new();
    for client in place.every_client() {
        let daemon = Daemon::start(&place, 0o600);
        let (queue, mut kdrun) = (daemon.queue, place.kdrun());
        let kdrun = kdrun.arg(&client).args(["listen", "300", "3"]).stdout(Stdio::piped());
        let mut listener = kdrun.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(listener.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let sender = Client::on(queue, layout_of(&client));
        let beep = || sender.ask(Command::Other(300), b"beep", None).unwrap().text;
        assert_eq!(beep(), b"beep", "before");
        asleep(listener.id() as i32);
        drop(daemon);
        asleep(listener.id() as i32);
        assert_eq!(beep(), b"beep", "while no daemon runs");
        let daemon = Daemon::start(&place, 0o600);
        assert_eq!(daemon.queue, queue);
        assert_eq!(sender.ask(Command::RequestModule, b"exit3", None).unwrap().status, 3);
        asleep(listener.id() as i32);
        assert_eq!(beep(), b"beep", "after");
        assert!(listener.wait().unwrap().success());
        drop(daemon);
        assert!(queue.stat().is_err(), "the last user of the queue leaves it behind");
    }
}

fn layout_of(client: &std::path::Path) -> Layout {
    let name = client.file_name().unwrap().to_string_lossy().into_owned();
    match (name.contains("i686"), name.contains("NEW")) {
        (true, false) => Layout::Ilp32Old,
        (true, true) => Layout::Ilp32New,
        (false, false) => Layout::Lp64Old,
        (false, true) => Layout::Lp64New,
    }
}

#[test]
fn a_kdrun_inside_a_kdrun_is_answered_by_the_outer_one() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.plain_client() else { return };
    let inner = place.path("kdrun");
    let output = place.run(&inner, &[client.to_str().unwrap(), "open", "libc"]);
    assert_eq!(text(&output.stdout), daemon.id());
    place.all_supervisors_end();
}

#[test]
fn verbose_tells_what_is_answered() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.plain_client() else { return };
    let output = place.kdrun().arg("-v").arg(client).args(["open", "libc"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(said.ends_with(&format!("gets queue {}", daemon.id())), "{said}");
}

/// An old program's environment tells the daemon what its bytes do not.
#[test]
fn a_layout_is_named_in_the_environment() {
    let place = Place::new();
    let run = |options: &[&str]| {
        let mut kdrun = place.kdrun();
        let kdrun = kdrun.args(options).env("KERNELD_LAYOUT", "kept").env("OTHER", "a=b");
        text(&kdrun.args(["sh", "-c", "echo $KERNELD_LAYOUT $OTHER"]).output().unwrap().stdout)
    };
    assert_eq!(run(&["--layout", "ilp32-old-be"]), "ilp32-old-be a=b");
    assert_eq!(run(&[]), "kept a=b");
}
