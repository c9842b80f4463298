//! The system calls that no library makes for us: the only `unsafe` of this crate.

use libc::{c_char, c_int, c_void};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Marks every descriptor from 3 up close-on-exec, wherever it came from.
///
/// # Errors
/// `ENOSYS` before Linux 5.11, which has no `CLOSE_RANGE_CLOEXEC`.
pub(crate) fn close_on_exec() -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors; none is closed, whoever owns it.
    // (The call by its number: musl has no function for it.)
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(done).map(drop)
}

/// Closes every descriptor from 3 up but those in `keep`: whoever started us has left them open, and no
/// process of ours needs them. To be called before anything else is opened.
///
/// # Errors
/// `ENOSYS` before Linux 5.9, which has no `close_range`.
pub(crate) fn close_inherited(keep: &[c_int]) -> Result<(), Errno> {
    let mut keep: Vec<c_int> = keep.iter().copied().filter(|number| *number >= 3).collect();
    keep.sort_unstable();
    let mut first = 3;
    for number in keep.into_iter().chain([c_int::MAX]) {
        if first < number {
            // SAFETY: nothing in this process owns a descriptor but those that are kept.
            let closed = unsafe { libc::close_range(first.cast_unsigned(), (number - 1).cast_unsigned(), 0) };
            Errno::result(closed)?;
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// A descriptor of our own for what the inherited descriptor `number` leads to; that one stays open.
///
/// # Errors
/// `EBADF` when no such descriptor is open.
pub(crate) fn inherited(number: c_int) -> io::Result<File> {
    // SAFETY: makes a new descriptor, whoever owns the old one.
    let copy = Errno::result(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// Unblocks every signal, and puts those that whoever started us ignores back to their default, so
/// that helpers start as under the kernel. SIGPIPE stays ignored here and is reset in each child. (32 and
/// 33 are the C library's own: it lets nobody touch them.)
///
/// # Errors
/// Whatever sigprocmask says; it has no reason to.
pub(crate) fn default_signals() -> Result<(), Errno> {
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
pub(crate) fn detach_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Signals that this process has handlers for or ignores (the standard library ignores SIGPIPE): a
/// helper starts with their defaults. [`default_signals`] has seen to all others.
pub(crate) const NOT_DEFAULT: [c_int; 5] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE, libc::SIGXFSZ];

/// Words of 16 bytes, as the stack has to be aligned. No page guards its end: the child makes a few calls
/// that need hundreds of bytes.
const STACK: usize = 1024;

/// What a child reads until its execve, and the stack that it runs on. It shares our memory that long.
pub(crate) struct Image {
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// Where it may run; `None` to leave that as it is.
    cpus: Option<CpuSet>,
    /// The errno of an execve that failed.
    failure: AtomicI32,
    stack: Vec<u128>,
    /// What the pointers lead to.
    _words: Vec<u8>,
}

impl Image {
    /// What to execute: argv, whose first word is the program too, and the environment. `None` if a word
    /// holds a NUL.
    pub(crate) fn new(
        argv: impl Iterator<Item = Vec<u8>>,
        envp: impl Iterator<Item = Vec<u8>>,
        cpus: Option<CpuSet>,
    ) -> Option<Self> {
        let mut words = Vec::with_capacity(256);
        let argv: Vec<usize> = argv.map(|word| add(&mut words, &word)).collect();
        let envp: Vec<usize> = envp.map(|word| add(&mut words, &word)).collect();
        let nuls = words.iter().filter(|byte| **byte == 0).count();
        let list = |starts: Vec<usize>| {
            starts.into_iter().map(|start| words[start..].as_ptr().cast()).chain([ptr::null()]).collect()
        };
        let sound = nuls == argv.len() + envp.len();
        let (argv, envp) = (list(argv), list(envp));
        let (failure, stack) = (AtomicI32::new(0), Vec::with_capacity(STACK));
        sound.then_some(Image { argv, envp, cpus, failure, stack, _words: words })
    }

    /// The errno with which the child's execve failed, once the child has ended.
    pub(crate) fn failure(&self) -> Option<i32> {
        Some(self.failure.load(Ordering::Acquire)).filter(|errno| *errno != 0)
    }
}

/// Adds a word and its NUL; where it starts.
fn add(words: &mut Vec<u8>, word: &[u8]) -> usize {
    let start = words.len();
    words.extend_from_slice(word);
    words.push(0);
    start
}

// SAFETY: the pointers lead to words that the image owns and nobody changes; the stack is the child's.
unsafe impl Send for Image {}
// SAFETY: the same.
unsafe impl Sync for Image {}

/// Starts a process that executes `image`, which must be kept until the process has been reaped: its pid,
/// a descriptor for it, and the image.
///
/// # Errors
/// When no process can be made. An execve that fails is told by [`Image::failure`].
pub(crate) fn clone_and_execute(mut image: Image) -> Result<(u32, OwnedFd, Arc<Image>), Errno> {
    let top = image.stack.as_mut_ptr().wrapping_add(STACK);
    let image = Arc::new(image);
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    // No handler of ours may run in the child.
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask))?;
    // SAFETY: `execute` runs on a stack of its own and reads `image`, both of which the caller keeps until
    // the child is reaped; it touches nothing else of ours, and neither allocates nor sets errno.
    let pid = Errno::result(unsafe {
        libc::clone(execute, top.cast(), flags, Arc::as_ptr(&image).cast_mut().cast(), &raw mut pidfd)
    });
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    let pid = pid?.cast_unsigned();
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((pid, pidfd, image))
}

/// The child, up to its execve.
extern "C" fn execute(image: *mut c_void) -> c_int {
    // SAFETY: `clone_and_execute` passes an image that outlives us. The signal functions set errno only for
    // signals that do not exist; a raw system call never does, and the words end in NUL, the lists in null.
    // rustix makes the system call itself, as far as it can, and so sets no errno either.
    unsafe {
        let image = &*image.cast_const().cast::<Image>();
        let default: libc::sigaction = std::mem::zeroed();
        for signal in NOT_DEFAULT {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none: MaybeUninit<libc::sigset_t> = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        if let Some(cpus) = &image.cpus {
            let _ = sched_setaffinity(None, cpus);
        }
        let (argv, envp) = (image.argv.as_ptr(), image.envp.as_ptr());
        let result = syscalls::syscall!(syscalls::Sysno::execve, image.argv[0], argv, envp);
        image.failure.store(result.err().map_or(libc::EIO, |errno| errno.into_raw()), Ordering::Release);
    }
    127
}
