//! The system calls that every filter lets pass.
#![forbid(unsafe_code)]

use libc::c_long;

/// Calls of 32-bit machines since Linux 5.1, which the libc crate does not name.
#[cfg(target_pointer_width = "32")]
const CLOCK_GETTIME64: c_long = 403;
#[cfg(target_pointer_width = "32")]
const FUTEX_TIME64: c_long = 422;

/// What the intake calls from now on with any arguments: what the executor says, memory, and its end. It
/// sends nothing but log lines. (On s390 the arguments of `mmap` are in memory, where no filter sees them.)
pub const ALLOWED: &[c_long] = &[
    libc::SYS_recvmsg,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_brk,
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
    #[cfg(target_pointer_width = "32")]
    CLOCK_GETTIME64,
    #[cfg(target_pointer_width = "32")]
    FUTEX_TIME64,
    #[cfg(target_arch = "s390x")]
    libc::SYS_mmap,
];
