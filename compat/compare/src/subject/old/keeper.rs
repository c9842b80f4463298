//! The two processes of ours that stand above an old program: the keeper, which makes its namespace and to
//! which orphans fall, and in it the starter, which becomes the program under `kdrun`'s mechanism.
#![forbid(unsafe_code)]

use super::root;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::wait::wait;
use nix::unistd::{Uid, getgid, getuid};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The name by which this program knows that it is the keeper.
pub const KEEPER: &str = "old-keeper";

/// The name by which it knows that it is the starter.
pub const STARTER: &str = "old-starter";

/// The keeper: arguments are the stage's folder, the queue's key, the program and its words.
pub fn keeper() -> ExitCode {
    finish("cannot make a place for the old kerneld", keep())
}

fn keep() -> Result<ExitCode, String> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (dir, rest) = words.split_first().ok_or("called without a folder")?;
    let dir = Path::new(dir);
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    enter_namespace()?;
    prctl::set_child_subreaper(true).map_err(|errno| format!("cannot keep orphans: {}", errno.desc()))?;
    root::enter(dir, dir.join("modules").exists())?;
    let _starter = Command::new(exe)
        .arg0(STARTER)
        .args(rest)
        .spawn()
        .map_err(|error| format!("cannot start the starter: {error}"))?;
    while wait() != Err(Errno::ECHILD) {}
    Ok(ExitCode::SUCCESS)
}

/// A mount namespace; for an ordinary user below a user namespace in which it is root.
fn enter_namespace() -> Result<(), String> {
    let (uid, gid) = (getuid(), getgid());
    let user = if Uid::effective().is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
    unshare(user | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| format!("this system gives us no mount namespace: {}", errno.desc()))?;
    if !user.is_empty() {
        let map = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text);
        map("setgroups", "deny".to_owned())
            .and_then(|()| map("uid_map", format!("0 {uid} 1")))
            .and_then(|()| map("gid_map", format!("0 {gid} 1")))
            .map_err(|error| format!("cannot become root of a user namespace: {error}"))?;
    }
    Ok(())
}

/// The starter: arguments are the queue's key, the program and its words. It becomes the program.
pub fn starter() -> ExitCode {
    finish("cannot start the old kerneld", become_it())
}

fn become_it() -> Result<ExitCode, String> {
    let mut words = std::env::args_os().skip(1);
    let key = words.next().and_then(|key| key.to_str()?.parse().ok()).ok_or("called without a key")?;
    let program = words.next().ok_or("called without a program")?;
    let failure = kdrun::run(&kdrun::Options {
        channel: kdrun::Channel::Key(key),
        wait: Duration::ZERO,
        layout: None,
        verbose: false,
        program,
        arguments: words.collect(),
    });
    Err(failure.message)
}

fn finish(what: &str, done: Result<ExitCode, String>) -> ExitCode {
    done.unwrap_or_else(|why| {
        eprintln!("kerneld-compare: {what}: {why}");
        ExitCode::FAILURE
    })
}
