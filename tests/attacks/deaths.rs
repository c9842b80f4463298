//! What used to end the service, or to keep it from starting.

use crate::ring::reads;
use crate::support::{Daemon, comm, fresh_key, kerneld, wait_for, wait_until_ready};
use kerneld_protocol::request::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use tempfile::TempDir;

#[test]
fn twenty_dead_intakes_in_a_row_leave_the_service_running() {
    let daemon = Daemon::start(&[]);
    let queue = daemon.queue();
    for _ in 0..20 {
        // It may be a dead one that is not reaped yet, and gone at the next look.
        let mut intake = None;
        wait_for("an intake", || {
            intake = daemon.find_intake();
            intake.is_some()
        });
        let _ = kill(Pid::from_raw(intake.unwrap()), Signal::SIGKILL);
    }
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7);
    assert_eq!(daemon.queue(), queue, "the queue is the same");
}

#[test]
fn a_stopped_intake_does_not_keep_the_daemon_from_ending_in_order() {
    let mut daemon = Daemon::start(&[]);
    wait_for("an intake that reads", || reads(&daemon));
    let intake = daemon.intake();
    kill(Pid::from_raw(intake), Signal::SIGSTOP).unwrap();
    assert!(daemon.end().success(), "{}", daemon.log());
    wait_for("the intake to be gone", || comm(intake) != "kerneld-intake");
}

/// As early in a boot, or in a unit of a service manager that has nowhere to put temporary files.
#[test]
fn it_needs_no_folder_for_temporary_files_and_no_short_state_directory() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("x".repeat(150)).join("state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(dir.path().join("empty.toml"), "").unwrap();
    let key = fresh_key();
    let mut process = kerneld()
        .args(["--foreground", "--dry-run", "--ready-fd=1", "--key", &key.to_string()])
        .arg(format!("--state-dir={}", state.display()))
        .arg(format!("--config={}", dir.path().join("empty.toml").display()))
        .env("TMPDIR", format!("/nowhere/{}", "t".repeat(120)))
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    assert!(wait_until_ready(&mut process), "{}", std::fs::read_to_string(dir.path().join("log")).unwrap());
    let mut daemon = Daemon { key, dir, process };
    assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
    let sockets = state.join("intake");
    assert_eq!(std::fs::read_dir(&sockets).unwrap().count(), 0, "no socket stays");
    assert!(daemon.end().success() && !sockets.exists());
}
