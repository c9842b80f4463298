//! The system calls that no library makes for us. One of the two homes of `unsafe` in this crate.

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use std::fs::File;
use std::io;

/// Marks every descriptor from 3 up close-on-exec, wherever it came from.
///
/// # Errors
/// `ENOSYS` before Linux 5.11, which has no `CLOSE_RANGE_CLOEXEC`.
pub fn close_on_exec() -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors; none is closed, whoever owns it.
    let done = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    Errno::result(done).map(drop)
}

/// Unblocks every signal, and puts those that whoever started us ignores back to their default, so
/// that helpers start as under the kernel. SIGPIPE stays ignored here and is reset in each child. (32 and
/// 33 are the C library's own: it lets nobody touch them.)
///
/// # Errors
/// Whatever sigprocmask says; it has no reason to.
pub fn default_signals() -> Result<(), Errno> {
    for number in (1..=libc::SIGRTMAX()).filter(|number| *number != libc::SIGPIPE) {
        // SAFETY: SIG_DFL runs no code of ours. SIGKILL, SIGSTOP, 32 and 33 are refused, which is fine.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    SigSet::empty().thread_set_mask()
}

/// Makes standard input, output and error /dev/null.
///
/// # Errors
/// When /dev/null cannot be opened.
pub fn detach_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
