//! The system call filter by `seccompiler`, on the machines that it knows.

use super::calls::ALLOWED;
use super::step::step;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;

/// Lets all threads of this process make no other system calls.
///
/// # Errors
/// A sentence naming the step that failed.
pub(super) fn install(queue: i32) -> Result<(), String> {
    let filter = filter(queue).map_err(step("build the system call filter"))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(step("set the system call filter"))
}

/// What it calls with arguments of one kind: messages from its queue, lines to standard error, memory that
/// nothing is executed in.
pub const CHECKED: &[libc::c_long] =
    &[libc::SYS_msgrcv, libc::SYS_write, libc::SYS_writev, libc::SYS_mmap, libc::SYS_mprotect];

fn filter(queue: i32) -> Result<BpfProgram, BackendError> {
    let only = |argument, operator, value| {
        let condition = SeccompCondition::new(argument, Dword, operator, value)?;
        SeccompRule::new(vec![condition]).map(|rule| vec![rule])
    };
    let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|number| (*number, vec![])).collect();
    for number in CHECKED {
        let rule = match *number {
            libc::SYS_msgrcv => only(0, Eq, u64::from(queue.cast_unsigned())),
            libc::SYS_mmap | libc::SYS_mprotect => only(2, MaskedEq(libc::PROT_EXEC as u64), 0),
            _ => only(0, Eq, libc::STDERR_FILENO as u64),
        };
        rules.insert(*number, rule?);
    }
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}
