//! The only `unsafe` of kdrun: system calls for which no library has a safe function, and C's `main`.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use libc::{c_ulong, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp, sock_filter, sock_fprog};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::ControlMessageOwned;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

/// Makes a function of the words of the command line that returns an exit status C's `main`. A Rust `main` will not do:
/// the runtime that calls one first ignores SIGPIPE and opens closed standard descriptors, and the program that is
/// executed in this process would inherit both.
#[macro_export]
macro_rules! c_main {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(
            argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: the C runtime passes `argc` pointers to NUL-terminated strings that outlive main.
            $run(unsafe { $crate::sys::words(argc, argv) })
        }
    };
}

/// The words of a command line.
///
/// # Safety
/// `argv` holds `argc` pointers to NUL-terminated strings.
#[must_use]
pub unsafe fn words(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let word = |at: usize| {
        // SAFETY: the caller's promise, for `at` is below `argc`.
        let word = unsafe { CStr::from_ptr(*argv.add(at)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    };
    (0..usize::try_from(argc).unwrap_or(0)).map(word).collect()
}

/// Runs `work` in a grandchild whose parent is gone at once, so that the caller has no child. Neither returns to the
/// caller's code. The caller has one thread.
pub(crate) fn detached(work: impl FnOnce()) -> Result<(), Errno> {
    // SAFETY: this process has one thread, so the child may do whatever the parent might.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // ECHILD: whoever started us ignores SIGCHLD, and the kernel has reaped it.
            let _ = waitpid(child, None);
            Ok(())
        }
        ForkResult::Child => {
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                work();
            }
            // SAFETY: _exit does not return and runs nothing of the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
    }
}

/// A copy of `fd` that is not a standard descriptor, close-on-exec.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: F_DUPFD_CLOEXEC made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The first descriptor that a message brought.
pub(crate) fn brought(message: ControlMessageOwned) -> Option<OwnedFd> {
    let ControlMessageOwned::ScmRights(fds) = message else { return None };
    // SAFETY: the kernel just made these descriptors for us alone.
    fds.first().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn ignore(ignored: Signal) -> Result<(), Errno> {
    // SAFETY: ignoring a signal runs no handler.
    unsafe { signal(ignored, SigHandler::SigIgn) }.map(drop)
}

/// Closes every descriptor from `first` to `last`, which nothing of Rust's may own.
pub(crate) fn close_range(first: RawFd, last: u32) -> Result<(), Errno> {
    // SAFETY: the caller's promise: nothing will use a descriptor of that range again.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Puts the calling process under `filter`; the descriptor on which its notifications arrive, as `flags` demand one.
pub(crate) fn set_filter(filter: &[sock_filter], flags: c_ulong) -> Result<OwnedFd, Errno> {
    let flags = flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let program = sock_fprog {
        len: filter.len().try_into().map_err(|_| Errno::EINVAL)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `program` and the `len` instructions behind it, both alive here, and
    // writes to neither.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    // SAFETY: with NEW_LISTENER a success is a fresh descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Asks to add a descriptor to a caller, as the kernel reads it.
pub(crate) fn notif_addfd(listener: impl AsFd, wanted: &seccomp_notif_addfd) -> Result<(), Errno> {
    // SAFETY: the kernel only reads `wanted`, whose size is part of the request number.
    let done = unsafe { libc::ioctl(raw(&listener), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const *wanted) };
    Errno::result(done).map(drop)
}

/// Takes the next notification.
pub(crate) fn notif_recv(listener: impl AsFd) -> Result<seccomp_notif, Errno> {
    // SAFETY: all fields are integers, and the kernel demands them to be zero.
    let mut call: seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `seccomp_notif`; its size is part of the request number.
    let done = unsafe { libc::ioctl(raw(&listener), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    Errno::result(done).map(|_| call)
}

/// Whether the notification of this id is still waited for; ENOENT if it is not.
pub(crate) fn notif_id_valid(listener: impl AsFd, id: u64) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the id.
    let done = unsafe { libc::ioctl(raw(&listener), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
    Errno::result(done).map(drop)
}

/// Answers a notification.
pub(crate) fn notif_send(listener: impl AsFd, answer: &seccomp_notif_resp) -> Result<(), Errno> {
    // SAFETY: the kernel reads one `seccomp_notif_resp`; its size is part of the request number.
    let done = unsafe { libc::ioctl(raw(&listener), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const *answer) };
    Errno::result(done).map(drop)
}

fn raw(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

/// msgget(2).
pub(crate) fn msgget(key: libc::key_t, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: msgget takes two integers and touches no memory.
    Errno::result(unsafe { libc::msgget(key, flags) })
}
