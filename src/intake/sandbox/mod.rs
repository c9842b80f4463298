//! Confines the intake: another user, no capabilities, no new privileges, no files, few system calls and
//! those for its own queue alone. Every step is checked; one that fails ends the intake before it has read a
//! message.
#![forbid(unsafe_code)]

use super::told::SetUp;
use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getppid, setgroups, setresgid, setresuid};
use step::step;

mod calls;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))))]
#[cfg_attr(test, allow(unreachable_pub, reason = "compiled for its tests here"))]
mod own_filter;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod seccompiler_filter;
mod step;

pub use calls::ALLOWED;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub use own_filter::CHECKED;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub use seccompiler_filter::CHECKED;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
use own_filter as filter;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
use seccompiler_filter as filter;

/// Has the kernel kill this process as soon as the thread that started it is gone, stopped or not: nobody
/// else may touch the ring once another daemon takes it over.
///
/// # Errors
/// A sentence with what the kernel said.
pub(crate) fn end_with_parent() -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(step("be ended with the executor"))
}

/// Gives up every file, and all of the network, where the kernel has Landlock. For threads that are started
/// from now on, too.
///
/// # Errors
/// A sentence with what failed; a kernel without Landlock is not a failure.
pub(crate) fn leave_file_system() -> Result<(), String> {
    let leave = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .restrict_self()
    };
    leave().map(drop).map_err(step::<landlock::RulesetError>("leave the file system"))
}

/// Gives up everything that is not needed to read the queue.
///
/// # Errors
/// A sentence naming the step that failed.
pub(crate) fn lock_in(set_up: &SetUp) -> Result<(), String> {
    drop_bounding_set()?;
    if let Some((uid, gid)) = set_up.become_user {
        change_user(Uid::from_raw(uid), Gid::from_raw(gid))?;
    }
    drop_capabilities()?;
    prctl::set_dumpable(false).map_err(step("forbid tracing"))?;
    prctl::set_no_new_privs().map_err(step("set no_new_privs"))?;
    // Another user has to ask again; and the parent may have gone before.
    end_with_parent()?;
    if getppid().as_raw().cast_unsigned() != set_up.executor {
        return Err("the executor is gone".to_owned());
    }
    filter::install(set_up.queue)
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
