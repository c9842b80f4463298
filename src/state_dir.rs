//! The state directory, which one daemon at a time has for itself.
#![forbid(unsafe_code)]

use log::warn;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long the lock of the pid file is waited for, and how often it is tried.
const PATIENCE: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(5);

/// Why the state directory cannot be had.
#[derive(Debug)]
pub(crate) enum StateDirError {
    /// It can be neither used nor made.
    Unusable(PathBuf, io::Error),
    /// It belongs to this user, who is not the one who starts the daemon.
    OfUser(PathBuf, u32),
    /// A running daemon has it: its pid file, and what that says.
    Taken(PathBuf, String),
}

impl fmt::Display for StateDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateDirError::Unusable(dir, error) => {
                write!(f, "cannot use the state directory {}: {error}", dir.display())
            }
            StateDirError::OfUser(dir, owner) => write!(
                f,
                "the state directory {} belongs to user {owner}, not to the user who starts kerneld",
                dir.display()
            ),
            StateDirError::Taken(file, pid) => {
                write!(f, "{} belongs to a running kerneld (pid {})", file.display(), pid.escape_debug())
            }
        }
    }
}

impl std::error::Error for StateDirError {}

/// The directory, locked until this is dropped.
pub(crate) struct StateDir {
    pid_file: PathBuf,
    _lock: Flock<File>,
}

impl StateDir {
    /// Makes the directory, and takes its pid file, which only its owner can open: a lock on a file that
    /// others can read is theirs to hold, too. On a file system that is full or read-only the lock is
    /// taken, but the pid may not be written.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(crate) fn take(dir: &Path) -> Result<Self, StateDirError> {
        let failed = |error| StateDirError::Unusable(dir.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let owner = dir.symlink_metadata().map_err(failed)?.uid();
        if owner != Uid::effective().as_raw() {
            return Err(StateDirError::OfUser(dir.to_owned(), owner));
        }
        let pid_file = dir.join("pid");
        let patience = Instant::now() + PATIENCE;
        let mut lock = loop {
            let (file, of_its_own) = open(&pid_file, dir).map_err(failed)?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                // A helper of a killed daemon holds it until its execve.
                Err((_, Errno::EAGAIN)) if Instant::now() < patience => {
                    thread::sleep(RETRY);
                    continue;
                }
                Err((file, Errno::EAGAIN)) => return Err(taken(&pid_file, file)),
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            // A daemon that has just ended may have removed it meanwhile.
            if !of_its_own || is_still(&lock, &pid_file) {
                break lock;
            }
        };
        if let Err(error) = write_pid(&mut lock) {
            warn!("cannot write {}: {error}", pid_file.display());
        }
        Ok(StateDir { pid_file, _lock: lock })
    }

    /// Gives it up at an orderly end, and removes the pid file.
    pub(crate) fn give_up(self) {
        let _ = fs::remove_file(&self.pid_file);
    }
}

/// The pid file, made if it does not exist; where that is impossible what can be locked in its place.
fn open(pid_file: &Path, dir: &Path) -> io::Result<(File, bool)> {
    let mut options = File::options();
    match options.read(true).write(true).create(true).truncate(false).mode(0o600).open(pid_file) {
        Ok(file) => Ok((file, true)),
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull) => {
            warn!("cannot make {}: {error}", pid_file.display());
            File::open(pid_file).or_else(|_| File::open(dir)).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
}

fn taken(pid_file: &Path, mut file: File) -> StateDirError {
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    StateDirError::Taken(pid_file.to_owned(), pid.trim().to_owned())
}

fn is_still(file: &File, path: &Path) -> bool {
    let inode = |metadata: io::Result<fs::Metadata>| metadata.map(|it| (it.dev(), it.ino())).ok();
    inode(file.metadata()) == inode(path.symlink_metadata())
}

fn write_pid(file: &mut File) -> io::Result<()> {
    // An older kerneld left it open to all.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn two_cannot_have_it_and_the_next_one_can() {
        let dir = TempDir::new().unwrap();
        let first = StateDir::take(dir.path()).unwrap();
        let told = StateDir::take(dir.path()).map(drop).unwrap_err().to_string();
        assert!(told.contains(&format!("pid {}", std::process::id())), "{told}");
        first.give_up();
        assert!(!dir.path().join("pid").exists());
        drop(StateDir::take(dir.path()).unwrap());
        assert!(dir.path().join("pid").exists(), "left behind by one that did not end in order");
        StateDir::take(dir.path()).unwrap();
    }

    #[test]
    fn nobody_else_can_open_the_pid_file_to_lock_it() {
        let dir = TempDir::new().unwrap();
        let pid_file = dir.path().join("pid");
        fs::write(&pid_file, "").unwrap();
        fs::set_permissions(&pid_file, Permissions::from_mode(0o644)).unwrap();
        let _taken = StateDir::take(dir.path()).unwrap();
        assert_eq!(fs::metadata(&pid_file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
