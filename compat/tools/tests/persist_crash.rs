//! A writer of the store is stopped before and after each of its system calls: what the file holds is
//! always all of the old or all of the new. A crash of the machine adds to this only the order in
//! which things reach the disk, which is looked at too.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use kerneld_persist::{Change, Key, Store};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::process::Command;

const OLD: i32 = 1;
const NEW: i32 = 2;

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn set(name: &str, value: i32) -> Change {
    Change::Set(key(name), value.to_ne_bytes().to_vec())
}

/// A store of some size, whose pair `irq` is the old one.
fn fill(store: &Store) {
    let pairs: Vec<Change> = (0..150).map(|n| set(&format!("parm{n}"), n)).collect();
    store.apply(&pairs).unwrap();
    store.apply(&[set("irq", OLD)]).unwrap();
}

/// Which of the two the whole store holds.
fn held(store: &Store) -> i32 {
    let pairs = store.list().expect("the file can be read");
    assert_eq!(pairs.len(), 151);
    i32::from_ne_bytes(pairs[&key("irq").with_nul()][..].try_into().unwrap())
}

/// admpersist, setting `irq` to the new value, stopped at its exec.
fn start(store: &Store) -> Pid {
    let mut command = Command::new(env!("CARGO_BIN_EXE_admpersist"));
    command.arg("--file").arg(store.file()).arg(format!("irq={NEW}"));
    // SAFETY: traceme is one system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let pid = Pid::from_raw(command.spawn().expect("admpersist starts").id().cast_signed());
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP)));
    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL).unwrap();
    pid
}

/// Lets it run to the next begin or end of a system call; false when it has ended, and well.
fn step(pid: Pid) -> bool {
    ptrace::syscall(pid, None).unwrap();
    match waitpid(pid, None).unwrap() {
        WaitStatus::PtraceSyscall(_) => true,
        WaitStatus::Exited(_, status) => {
            assert_eq!(status, 0);
            false
        }
        other => panic!("admpersist: {other:?}"),
    }
}

fn kill(pid: Pid) {
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Signaled(pid, Signal::SIGKILL, false)));
}

/// A store that holds the old, in a folder of its own.
fn old_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("persist.gdbm"));
    fill(&store);
    (folder, store)
}

#[test]
fn at_every_system_call_the_file_is_the_old_or_the_new() {
    let (_folder, store) = old_store();
    let pid = start(&store);
    let mut seen = Vec::new();
    while step(pid) {
        // What would be there if it went no further.
        seen.push(held(&store));
    }
    assert!(seen.is_sorted() && seen[0] == OLD && held(&store) == NEW, "{seen:?}");
}

#[test]
fn killed_while_it_changes_files_it_keeps_nobody_from_writing() {
    let (_folder, store) = old_store();
    for stop in stops_that_change_files() {
        let pid = start(&store);
        assert!((0..=stop).all(|_| step(pid)));
        kill(pid);
        assert!([OLD, NEW].contains(&held(&store)));
        store.apply(&[set("irq", OLD)]).unwrap();
        assert_eq!(held(&store), OLD);
    }
}

/// At which of its stops admpersist is about to change a file.
fn stops_that_change_files() -> Vec<usize> {
    let calls = calls();
    let changes = calls.iter().enumerate().filter(|(_, call)| **call != Call::Other);
    changes.map(|(stop, _)| stop).collect()
}

#[test]
fn the_new_contents_are_on_disk_before_they_have_the_name_and_the_name_before_we_end() {
    let mut calls = calls();
    calls.retain(|call| *call != Call::Other);
    assert!(calls.ends_with(&[Call::Write, Call::Sync, Call::Rename, Call::Sync]), "{calls:?}");
}

/// What each stop of a whole run is the begin of.
fn calls() -> Vec<Call> {
    let (_folder, store) = old_store();
    let pid = start(&store);
    let mut calls = Vec::new();
    while step(pid) {
        let info = ptrace::syscall_info(pid).unwrap();
        calls.push(match info.op {
            // SAFETY: at the begin of a call, as op says, it is this field that the kernel filled.
            libc::PTRACE_SYSCALL_INFO_ENTRY => kind(unsafe { info.u.entry.nr }),
            _ => Call::Other,
        });
    }
    calls
}

#[derive(Debug, PartialEq)]
enum Call {
    Write,
    Sync,
    Rename,
    Other,
}

fn kind(number: u64) -> Call {
    match libc::c_long::try_from(number).unwrap() {
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_ftruncate | libc::SYS_copy_file_range => Call::Write,
        libc::SYS_fsync => Call::Sync,
        libc::SYS_renameat | libc::SYS_renameat2 => Call::Rename,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => Call::Rename,
        _ => Call::Other,
    }
}
