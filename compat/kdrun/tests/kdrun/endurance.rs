//! Whatever is killed, forked or restarted: no hang, no orphan, the right exit codes.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Asker, Place, asleep, in_msgget};
use kerneld_recorder as recorder;
use kerneld_test_support::daemon::{Daemon, text};
use kerneld_test_support::wait_until;

#[test]
fn fifty_children_that_all_ask_are_all_answered() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for client in place.every_client() {
        let output = place.run(&client, &["fork", "50", "2", "exit0"]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), &said[..]), (Some(0), ""), "{}", client.display());
        let output = place.run(&client, &["fork", "50", "2", "exit1"]);
        assert_eq!(output.status.code(), Some(50), "{}", client.display());
    }
    place.all_supervisors_end();
}

/// The parent's status is there at once, and the one in the background is served until it ends.
#[test]
fn a_program_that_goes_to_the_background_is_served_there() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for client in place.every_client() {
        let file = place.path(&format!("{}-go", client.file_name().unwrap().display()));
        let mut kdrun = place.kdrun();
        let kdrun = kdrun.arg(&client).arg("daemon").arg(&file).args(["2", "exit11"]);
        assert_eq!(kdrun.stdout(Stdio::null()).status().unwrap().code(), Some(5));
        assert_eq!(place.supervisors().len(), 1);
        std::fs::write(&file, "").unwrap();
        place.all_supervisors_end();
        let answer = std::fs::read_to_string(file.with_added_extension("answer")).unwrap();
        assert_eq!(answer.trim(), "11");
    }
}

#[test]
fn a_killed_program_leaves_no_supervisor() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut asker = Asker::start(place.kdrun().arg(client));
    assert_eq!(asker.ask("open"), "No such device");
    assert_eq!(place.supervisors().len(), 1);
    asker.child.kill().unwrap();
    assert_eq!(asker.child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    place.all_supervisors_end();
}

#[test]
fn a_program_killed_in_its_call_leaves_no_supervisor() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut child = place.kdrun().args(["--wait", "600"]).arg(client).args(["open", "libc"]).spawn().unwrap();
    in_msgget(child.id());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    place.all_supervisors_end();
}

/// Nobody waits any more, so the supervisor looks for no daemon either, though a program lives on.
#[test]
fn a_program_killed_in_its_call_is_forgotten() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let script = "$0 open libc & echo $!; read word";
    let mut kdrun = place.kdrun();
    let kdrun = kdrun.args(["--wait", "600", "/bin/sh", "-c", script]).arg(client);
    let mut child = kdrun.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let caller: i32 = line.trim().parse().unwrap();
    in_msgget(caller as u32);
    kill(Pid::from_raw(caller), Signal::SIGKILL).unwrap();
    asleep(place.supervisors()[0]);
    drop(child.stdin.take());
    child.wait().unwrap();
    place.all_supervisors_end();
}

/// SIGTERM to a whole service must not take the supervisor away before the program is done.
#[test]
fn a_polite_signal_does_not_end_the_supervisor() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.plain_client() else { return };
    let mut asker = Asker::start(place.kdrun().arg(client));
    asker.ask("open");
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        kill(Pid::from_raw(place.supervisors()[0]), signal).unwrap();
        assert_eq!(asker.ask("open"), daemon.id());
    }
    assert!(asker.end().success());
    place.all_supervisors_end();
}

#[test]
fn with_the_supervisor_killed_calls_fail_and_nothing_hangs() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    let Some(client) = place.plain_client() else { return };
    let mut asker = Asker::start(place.kdrun().arg(client));
    asker.ask("open");
    kill(Pid::from_raw(place.supervisors()[0]), Signal::SIGKILL).unwrap();
    place.all_supervisors_end();
    assert_eq!(asker.ask("open"), "Function not implemented");
    assert_ne!(asker.ask("ordinary"), "Function not implemented");
    assert!(asker.end().success());
}

#[test]
fn with_the_supervisor_killed_a_waiting_call_fails() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut kdrun = place.kdrun();
    let kdrun = kdrun.args(["--wait", "600"]).arg(client).args(["open", "libc"]).stdout(Stdio::piped());
    let child = kdrun.spawn().unwrap();
    in_msgget(child.id());
    kill(Pid::from_raw(place.supervisors()[0]), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "Function not implemented");
}

/// The queue outlives a crash, so a client that asks in between is answered by the next daemon.
#[test]
fn a_client_waits_through_a_crash_of_the_daemon() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let daemon = Daemon::start(&place, 0o600);
    let queue = daemon.queue;
    daemon.crash();
    let mut child = place.kdrun().arg(client).args(["ask", "2", "exit6"]).spawn().unwrap();
    wait_until("the request waits", || queue.stat().unwrap().messages == 1);
    let _daemon = Daemon::start(&place, 0o600);
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

/// The request has been read and its helper runs when the daemon is killed: the next one runs it
/// again, and answers.
#[test]
fn a_client_is_answered_though_the_daemon_crashed_with_its_request() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let daemon = Daemon::start(&place, 0o600);
    let mut child = place.kdrun().arg(client).args(["ask", "2", "wait-exit8"]).spawn().unwrap();
    wait_until("the helper runs", || recorder::runs(place.folder.path()).unwrap().len() == 1);
    daemon.crash();
    let _daemon = Daemon::start(&place, 0o600);
    std::fs::write(place.path(recorder::GO), "").unwrap();
    let mut status = None;
    wait_until("the answer comes", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(8));
}
