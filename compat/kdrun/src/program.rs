//! Puts a program under the supervisor and becomes it.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use kerneld_protocol::waiting::LAYOUT_VARIABLE;
use kerneld_protocol::wire::Layout;
use nix::errno::Errno;
use nix::unistd::{execvp, execvpe};

use crate::options::{Failure, Options};
use crate::{filter, handover, seccomp};

/// Puts this process and all that it will start under the supervisor, then becomes the program.
/// Returns only when that failed.
pub fn run(options: &Options) -> Failure {
    match supervised(options) {
        Err(failure) => failure,
        Ok(()) => become_program(options),
    }
}

/// The supervisor must be a process of its own from before the filter: a filter binds all who are
/// forked after it, and a supervisor that asked itself would wait for ever.
fn supervised(options: &Options) -> Result<(), Failure> {
    let filter = filter::program().ok_or_else(|| {
        Failure::ours(format!("the system calls of {} are not known to kdrun", std::env::consts::ARCH))
    })?;
    let supervisor = handover::start_supervisor(options)?;
    match seccomp::install(&filter) {
        Ok(listener) => supervisor.take(listener),
        // Only one supervisor is possible: an outer kdrun's answers are as good as ours.
        Err(Errno::EBUSY) if seccomp::already_answered() => Ok(()),
        Err(errno) => Err(refused_filter(errno)),
    }
}

fn refused_filter(errno: Errno) -> Failure {
    Failure::ours(match errno {
        Errno::EBUSY => "another seccomp supervisor (a container manager's?) already watches this \
            process, and Linux allows one: start kdrun outside it"
            .to_owned(),
        Errno::EINVAL | Errno::ENOSYS => "this kernel cannot hand system calls to a supervisor: \
            Linux 5.9 or newer is needed, built with CONFIG_SECCOMP_FILTER"
            .to_owned(),
        other => format!("the seccomp filter was refused: {}", other.desc()),
    })
}

/// This process's environment, in which the layout is named, too.
fn environment_with(layout: Layout) -> Vec<CString> {
    let others = std::env::vars_os().filter(|(name, _)| name != LAYOUT_VARIABLE);
    let ours = (LAYOUT_VARIABLE.into(), layout.name().into());
    let words = others.chain([ours]).map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    words.filter_map(|word| CString::new(word).ok()).collect()
}

fn become_program(options: &Options) -> Failure {
    let words = std::iter::once(&options.program).chain(&options.arguments);
    // The words came from an argv, so none can hold a NUL.
    let argv: Vec<CString> = words.filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let executed = match options.layout {
        None => execvp(&argv[0], &argv),
        Some(layout) => execvpe(&argv[0], &argv, &environment_with(layout)),
    };
    let Err(errno) = executed;
    Failure {
        status: if errno == Errno::ENOENT { 127 } else { 126 },
        message: format!("{}: {}", options.program.display(), errno.desc()),
    }
}
