//! Locks the intake in: another user, no capabilities, no new privileges, few system calls.
//! Every step is checked; one that fails ends the intake before it has read a message.
#![forbid(unsafe_code)]

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Gives up everything that is not needed to read the queue and to talk to the executor.
///
/// # Errors
/// A sentence naming the step that failed.
pub(crate) fn lock_in(become_user: Option<(u32, u32)>) -> Result<(), String> {
    drop_bounding_set()?;
    if let Some((uid, gid)) = become_user {
        change_user(Uid::from_raw(uid), Gid::from_raw(gid))?;
    }
    drop_capabilities()?;
    prctl::set_dumpable(false).map_err(step("forbid tracing"))?;
    prctl::set_no_new_privs().map_err(step("set no_new_privs"))?;
    let filter = filter().map_err(step("build the system call filter"))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(step("set the system call filter"))
}

fn step<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("the intake cannot {what}: {error}")
}

fn drop_bounding_set() -> Result<(), String> {
    use caps::{CapSet, Capability};
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .map_err(step("read its capabilities"))?
    {
        caps::clear(None, CapSet::Bounding).map_err(step("empty its bounding set"))?;
    }
    Ok(())
}

fn change_user(uid: Uid, gid: Gid) -> Result<(), String> {
    setgroups(&[]).map_err(step("leave its groups"))?;
    setresgid(gid, gid, gid).map_err(step("change its group"))?;
    setresuid(uid, uid, uid).map_err(step("change its user"))
}

fn drop_capabilities() -> Result<(), String> {
    use caps::CapSet;
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(step("drop its capabilities"))?;
    }
    Ok(())
}

/// What the intake calls from now on: the queue, the channel, its log, memory, and its end.
pub const ALLOWED: &[libc::c_long] = &[
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_sendmsg,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_clock_gettime,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let rules = ALLOWED.iter().map(|number| (*number, vec![])).collect::<BTreeMap<_, _>>();
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}
