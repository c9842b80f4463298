//! The pid file in the state directory, which two daemons cannot share.
#![forbid(unsafe_code)]

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Holds the state directory until it is dropped.
pub(crate) struct PidFile {
    path: PathBuf,
    /// Locked as long as this lives.
    _lock: Flock<File>,
}

impl PidFile {
    /// Makes the state directory and writes our pid into its file.
    ///
    /// # Errors
    /// A sentence: the directory is not usable or another user's, or a kerneld that runs has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot use the state directory {}: {error}", dir.display());
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let owner = dir.symlink_metadata().map_err(failed)?.uid();
        if owner != Uid::effective().as_raw() {
            return Err(format!(
                "the state directory {} belongs to user {owner}, not to the user who starts kerneld",
                dir.display()
            ));
        }
        let path = dir.join("pid");
        let mut lock = lock(&path)
            .map_err(failed)?
            .map_err(|pid| format!("{} belongs to a running kerneld (pid {})", path.display(), pid.trim()))?;
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Takes the file away, for a service that has ended in order.
    ///
    /// # Errors
    /// A sentence, when it stays.
    pub(crate) fn remove(self) -> Result<(), String> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("cannot remove {}: {error}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The locked file, or what stands in one that somebody else holds.
fn lock(path: &Path) -> io::Result<Result<Flock<File>, String>> {
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, _)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid)?;
                return Ok(Err(pid));
            }
        };
        // A daemon that ended in between has removed the file that we hold now.
        if path.metadata().is_ok_and(|named| lock.metadata().is_ok_and(|held| held.ino() == named.ino())) {
            return Ok(Ok(lock));
        }
    }
}
