//! The system calls that no library makes for us: the only `unsafe` of this crate.

use libc::{c_char, c_int, c_void};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

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

/// Puts all threads of this process under a seccomp filter. It has no_new_privs.
///
/// # Errors
/// Those of seccomp(2); `ESRCH` when a thread has another filter.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(crate) fn filter_system_calls(program: &[libc::sock_filter]) -> Result<(), Errno> {
    let len = program.len().try_into().map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the kernel reads `program` and the `len` instructions behind it, both alive here.
    let thread = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) };
    match Errno::result(thread)? {
        0 => Ok(()),
        _ => Err(Errno::ESRCH),
    }
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
/// When no process can be made. An execve that fails is reported by [`Image::failure`].
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

/// What the kernel knows of a shared memory segment (`shmctl(IPC_STAT)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentStat {
    /// The user that it belongs to.
    pub(crate) owner: u32,
    /// The user that made it, and keeps an owner's rights.
    pub(crate) creator: u32,
    /// Permission bits, 0 to 0o777.
    pub(crate) mode: u32,
    /// Its size.
    pub(crate) bytes: usize,
    /// How many processes have it in their memory.
    pub(crate) attached: u64,
}

/// Makes the shared memory segment of `key`, open to this user alone and filled with zeros; its id.
///
/// # Errors
/// `EEXIST` when the key has one already; `ENOSPC` or `ENOMEM` when the system has no room.
pub(crate) fn make_segment(key: i32, bytes: usize) -> Result<i32, Errno> {
    // SAFETY: shmget takes plain integers.
    Errno::result(unsafe { libc::shmget(key, bytes, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) })
}

/// The id of the segment of `key`.
///
/// # Errors
/// `ENOENT` when there is none.
pub(crate) fn find_segment(key: i32) -> Result<i32, Errno> {
    // SAFETY: shmget takes plain integers.
    Errno::result(unsafe { libc::shmget(key, 0, 0) })
}

/// Reads a segment's state.
///
/// # Errors
/// `EINVAL` or `EIDRM` when it is gone; `EACCES` without read permission.
#[allow(clippy::useless_conversion, reason = "the fields' sizes are the machine's")]
pub(crate) fn segment_stat(id: i32) -> Result<SegmentStat, Errno> {
    let mut raw: MaybeUninit<libc::shmid_ds> = MaybeUninit::zeroed();
    // SAFETY: the kernel fills in the structure, and all zeros are one, too.
    let raw = unsafe {
        Errno::result(libc::shmctl(id, libc::IPC_STAT, raw.as_mut_ptr()))?;
        raw.assume_init()
    };
    Ok(SegmentStat {
        owner: raw.shm_perm.uid,
        creator: raw.shm_perm.cuid,
        mode: u32::from(raw.shm_perm.mode) & 0o777,
        bytes: raw.shm_segsz,
        attached: raw.shm_nattch.into(),
    })
}

/// Keeps a segment's pages in memory.
///
/// # Errors
/// `EPERM` or `ENOMEM` for one who may not lock so much.
pub(crate) fn lock_segment(id: i32) -> Result<(), Errno> {
    // SAFETY: SHM_LOCK reads no structure.
    Errno::result(unsafe { libc::shmctl(id, libc::SHM_LOCK, ptr::null_mut()) }).map(drop)
}

/// Removes a segment: it has no key from now on, and is gone once nobody has it in memory.
///
/// # Errors
/// `EPERM` for one who is neither its owner nor its creator nor root.
pub(crate) fn remove_segment(id: i32) -> Result<(), Errno> {
    // SAFETY: IPC_RMID reads no structure.
    Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
}

/// Takes a segment into this process's memory for as long as it lives; no process that it forks gets it.
/// Every page is there afterwards, so that the kernel need not fetch one while it copies a message.
///
/// # Errors
/// Those of `shmat`: `EINVAL` when it is gone, `EACCES`, `ENOMEM`.
pub(crate) fn attach_segment(id: i32) -> Result<&'static [AtomicU32], Errno> {
    let bytes = segment_stat(id)?.bytes;
    // SAFETY: the kernel chooses an address where nothing else is; the memory is of that size, begins at a
    // page, is never given back, and consists of atomics, since others may write to it at any time.
    let words: &'static [AtomicU32] = unsafe {
        let start = libc::shmat(id, ptr::null(), 0);
        if start.addr() == usize::MAX {
            return Err(Errno::last());
        }
        Errno::result(libc::madvise(start, bytes, libc::MADV_DONTFORK))?;
        std::slice::from_raw_parts(start.cast(), bytes / size_of::<AtomicU32>())
    };
    for word in words.iter().step_by(1024) {
        word.fetch_add(0, Ordering::Relaxed);
    }
    Ok(words)
}

/// `struct pidfd_info` as of Linux 6.15 (`include/uapi/linux/pidfd.h`), of which one bit and the end matter.
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `PIDFD_GET_INFO`, which carries the size of its structure.
const PIDFD_GET_INFO: libc::Ioctl =
    nix::request_code_readwrite!(0xff, 11, size_of::<PidfdInfo>()) as libc::Ioctl;

/// How a process that need not be a child of ours has ended, as `wait` would tell it; `None` until it has been
/// reaped.
///
/// # Errors
/// A kernel before Linux 6.15 does not say.
pub(crate) fn exit_code(process: &OwnedFd) -> Result<Option<i32>, Errno> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, cgroup: 0, ids: [0; 11], exit_code: 0 };
    // SAFETY: the kernel writes no more than the size of this structure, which is part of the request's number.
    Errno::result(unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) })?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}
