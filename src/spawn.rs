//! Starts a helper and goes on at once. posix_spawn would sleep until the helper's execve, and makes over
//! a hundred system calls to reset signals that have no handler, together a seventh of a small program's
//! whole life. One of the two homes of `unsafe` in this crate.

use crate::action::Helper;
use crate::cpus::Cpus;
use crate::helper::code;
use libc::{c_char, c_int, c_void};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::{AccessFlags, access};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that this process has handlers for or ignores (the standard library ignores SIGPIPE): a
/// helper starts with their defaults. [`crate::sys::default_signals`] has seen to all others.
const NOT_DEFAULT: [c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE];

/// Words of 16 bytes, as the stack has to be aligned. No page guards its end: the child makes a few calls
/// that need hundreds of bytes.
const STACK: usize = 1024;

/// A helper that has been started.
pub struct Spawned {
    pid: u32,
    pidfd: OwnedFd,
    image: Arc<Image>,
}

/// What the child reads, and where it runs until its execve. It shares our memory that long.
struct Image {
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    cpus: Cpus,
    /// The errno of an execve that failed.
    failure: AtomicI32,
    stack: Vec<u128>,
    /// What the pointers lead to.
    _words: Vec<u8>,
}

/// Starts a helper; what [`crate::helper::spawn`] says of descriptors holds here, too. That it cannot
/// be executed may be told only by [`Spawned::status`].
///
/// # Errors
/// The errno of a program that is not there or not ours to run, or of a process that cannot be made;
/// `EINVAL` for a word that holds a NUL.
pub fn spawn(helper: &Helper, cpus: Cpus) -> Result<Spawned, i32> {
    access(&helper.path, AccessFlags::X_OK).map_err(|errno| errno as i32)?;
    let mut image = Image::new(helper, cpus).ok_or(libc::EINVAL)?;
    let top = image.stack.as_mut_ptr().wrapping_add(STACK);
    let image = Arc::new(image);
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    // No handler of ours may run in the child.
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask))
        .map_err(|errno| errno as i32)?;
    // SAFETY: `execute` runs on a stack of its own and reads `image`, both of which stay until the child
    // is reaped; it touches nothing else of ours, and neither allocates nor sets errno.
    let pid = Errno::result(unsafe {
        libc::clone(execute, top.cast(), flags, Arc::as_ptr(&image).cast_mut().cast(), &raw mut pidfd)
    });
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    let pid = pid.map_err(|errno| errno as i32)?.cast_unsigned();
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Spawned { pid, pidfd, image })
}

/// The child, up to its execve.
extern "C" fn execute(image: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes an image that outlives us. The signal functions set errno only for signals
    // that do not exist; a raw system call never does, and the words end in NUL, the lists in null.
    unsafe {
        let image = &*image.cast_const().cast::<Image>();
        let default: libc::sigaction = std::mem::zeroed();
        for signal in NOT_DEFAULT {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none: MaybeUninit<libc::sigset_t> = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        image.cpus.spread();
        let result = syscalls::syscall!(
            syscalls::Sysno::execve,
            image.argv[0],
            image.argv.as_ptr(),
            image.envp.as_ptr()
        );
        image.failure.store(result.err().map_or(libc::EIO, |errno| errno.into_raw()), Ordering::Release);
    }
    127
}

impl Image {
    /// `None` if a word holds a NUL.
    fn new(helper: &Helper, cpus: Cpus) -> Option<Self> {
        let mut words = Vec::with_capacity(256);
        let argv: Vec<usize> = helper.argv().map(|word| add(&mut words, &[word.as_bytes()])).collect();
        let envp: Vec<usize> = helper
            .env()
            .map(|(name, value)| add(&mut words, &[name.as_bytes(), b"=", value.as_bytes()]))
            .collect();
        let sound = words.iter().filter(|byte| **byte == 0).count() == argv.len() + envp.len();
        let list = |starts: Vec<usize>| {
            starts.into_iter().map(|start| words[start..].as_ptr().cast()).chain([ptr::null()]).collect()
        };
        let (argv, envp) = (list(argv), list(envp));
        sound.then(|| Image {
            argv,
            envp,
            cpus,
            failure: AtomicI32::new(0),
            stack: Vec::with_capacity(STACK),
            _words: words,
        })
    }
}

/// Adds a word and its NUL; where it starts.
fn add(words: &mut Vec<u8>, parts: &[&[u8]]) -> usize {
    let start = words.len();
    parts.iter().for_each(|part| words.extend_from_slice(part));
    words.push(0);
    start
}

// SAFETY: the pointers lead to words that the image owns and nobody changes; the stack is the child's.
unsafe impl Send for Image {}
// SAFETY: the same.
unsafe impl Sync for Image {}

impl Spawned {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, but leaves it to be reaped; the exit code, or 128+N for signal N.
    ///
    /// # Errors
    /// The errno of an execve that failed.
    pub fn status(&self) -> Result<i32, i32> {
        let status = self.wait(WaitIdOptions::NOWAIT).map_err(|errno| errno.raw_os_error())?;
        match self.image.failure.load(Ordering::Acquire) {
            0 => Ok(code(status.exit_status(), status.terminating_signal())),
            errno => Err(errno),
        }
    }

    fn wait(&self, options: WaitIdOptions) -> rustix::io::Result<WaitIdStatus> {
        loop {
            match waitid(WaitId::PidFd(self.as_fd()), options | WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) | Ok(None) => {}
                Ok(Some(status)) => return Ok(status),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Reaps the helper, which may have to be waited for: it could still be reading the image.
impl Drop for Spawned {
    fn drop(&mut self) {
        if self.wait(WaitIdOptions::empty()).is_err() {
            std::mem::forget(Arc::clone(&self.image));
        }
    }
}

impl AsFd for Spawned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Watch;

    fn run(path: &str, args: &[&str]) -> Result<i32, i32> {
        let args = args.iter().map(|word| (*word).to_owned()).collect();
        spawn(
            &Helper { path: path.into(), args, trigger: Some(7), watch: Watch::Nothing },
            Cpus::stay_on_one(),
        )?
        .status()
    }

    #[test]
    fn a_helpers_end_is_told() {
        assert_eq!(run("/bin/sh", &["-c", "exit 7"]), Ok(7));
        assert_eq!(run("/bin/sh", &["-c", "kill -9 $$"]), Ok(137));
        assert_eq!(run("/bin/sh", &["-c", "test $KERNELD_TRIGGER$HOME$TERM = 7/linux"]), Ok(0));
    }

    #[test]
    fn a_helper_has_the_defaults_of_signals_that_are_ours() {
        let bits = |field: &str| format!("0x$(sed -n 's/{field}:.//p' /proc/self/status)");
        let ours = NOT_DEFAULT.iter().fold(0, |bits, signal| bits | 1 << (signal - 1));
        let ignored = format!("exit $((({} & {ours}) != 0))", bits("SigIgn"));
        assert_eq!(run("/bin/sh", &["-c", &ignored]), Ok(0));
        assert_eq!(run("/bin/sh", &["-c", &format!("exit $(({} != 0))", bits("SigBlk"))]), Ok(0));
    }

    #[test]
    fn a_helper_may_run_on_any_cpu() {
        let allowed = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
        };
        let given = allowed();
        let same = format!("grep -qx '{given}' /proc/self/status");
        assert_eq!(run("/bin/sh", &["-c", &same]), Ok(0), "{given}, of which {}", allowed());
    }

    #[test]
    fn one_that_cannot_be_executed_tells_its_errno() {
        let text = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(run("/no/such/helper", &[]), Err(libc::ENOENT));
        assert_eq!(run("/etc", &[]), Err(libc::EACCES));
        assert_eq!(run(text.to_str().unwrap(), &[]), Err(libc::ENOEXEC));
    }
}
