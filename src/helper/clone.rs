//! Starts a helper and goes on at once. posix_spawn would sleep until the helper's execve, and makes over
//! a hundred system calls to reset signals that have no handler, together a seventh of a small program's
//! whole life.
#![forbid(unsafe_code)]

use crate::helper::Helper;
use crate::helper::cpus::Cpus;
use crate::helper::watched::code;
use crate::sys::{Image, clone_and_execute};
use nix::unistd::{AccessFlags, access};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// A helper that has been started.
pub(crate) struct Spawned {
    pid: u32,
    pidfd: OwnedFd,
    image: Arc<Image>,
}

/// Starts a helper; what [`crate::helper::watched::spawn`] says of descriptors holds here, too. That it
/// cannot be executed may be known only from [`Spawned::status`].
///
/// # Errors
/// The errno of a program that does not exist or may not be run, or of a process that cannot be made;
/// `EINVAL` for a word that holds a NUL.
pub(crate) fn spawn(helper: &Helper, cpus: Cpus) -> Result<Spawned, i32> {
    access(&helper.path, AccessFlags::X_OK).map_err(|errno| errno as i32)?;
    let argv = helper.argv().map(|word| word.as_bytes().to_vec());
    let envp = helper.env().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let image = Image::new(argv, envp, cpus.given()).ok_or(libc::EINVAL)?;
    let (pid, pidfd, image) = clone_and_execute(image).map_err(|errno| errno as i32)?;
    Ok(Spawned { pid, pidfd, image })
}

impl Spawned {
    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, but leaves it to be reaped; the exit code, or 128+N for signal N.
    ///
    /// # Errors
    /// The errno of an execve that failed.
    pub(crate) fn status(&self) -> Result<i32, i32> {
        let status = self.wait(WaitIdOptions::NOWAIT).map_err(|errno| errno.raw_os_error())?;
        match self.image.failure() {
            None => Ok(code(status.exit_status(), status.terminating_signal())),
            Some(errno) => Err(errno),
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
    use crate::helper::Watch;
    use crate::sys::NOT_DEFAULT;

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
