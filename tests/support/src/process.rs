//! Other processes: finding, watching and ending them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

/// Sends a process of ours a signal, if it still runs.
pub fn signal(child: &Child, signal: Signal) {
    // It may have ended already.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
}

/// Sends a process of ours SIGTERM, and waits for its end.
///
/// # Panics
/// When it cannot be waited for.
pub fn end(child: &mut Child) -> ExitStatus {
    signal(child, Signal::SIGTERM);
    child.wait().expect("our child")
}

/// The children of all of a process's threads.
///
/// # Panics
/// When the process is gone.
pub fn children(pid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs") {
        let children = task.expect("a thread").path().join("children");
        let children = fs::read_to_string(children).unwrap_or_default();
        found.extend(children.split_whitespace().map(|pid| pid.parse::<i32>().expect("a pid")));
    }
    found
}

/// The name of a process's program, cut to 15 bytes; empty when it is gone.
pub fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// A program of the workspace, built now when the crate under test is tested alone.
///
/// # Panics
/// When it cannot be built.
pub fn workspace_program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let program = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").join(name);
    if !program.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--workspace", "--bin", name]).status();
        assert!(built.is_ok_and(|status| status.success()), "{name} cannot be built");
    }
    program
}
