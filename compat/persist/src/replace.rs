//! A file gets new contents whole or not at all, whenever the machine or we may stop.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Each turn takes milliseconds; one that does not come in this time belongs to something that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The right to replace one file: held by one process or thread at a time, given up on drop.
///
/// It is a lock on `FILE.lock`, not on the file or its directory: those may be readable by people who
/// could hold a lock on them for ever.
pub struct Turn {
    file: PathBuf,
    _lock: File,
}

impl Turn {
    /// Waits, 10 seconds at most, for the turn to replace `file`. It need not exist, nor its directory,
    /// which is made then, but the one above it. Of a symbolic link it is the target that will be replaced.
    ///
    /// # Errors
    /// `EBUSY` when the turn did not come; or the directory cannot be made, or the lock file not be opened
    /// for writing there.
    pub fn wait(file: &Path) -> io::Result<Self> {
        let file = match fs::canonicalize(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => std::path::absolute(file)?,
            found => found?,
        };
        make_directory(directory(&file))?;
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(beside(&file, ".lock"))?;
        lock_within(&lock, PATIENCE)?;
        Ok(Turn { file, _lock: lock })
    }

    /// Has `write` make the new contents in the path that it is given, where nothing is, and puts
    /// them in the file's place: on disk first, so that after any crash the file is the old or the new one.
    ///
    /// # Errors
    /// What `write` says, and anything that keeps the new contents from the disk. The file then is as
    /// before, unless it is only its directory that could not be brought to the disk.
    pub fn replace<E: From<io::Error>>(&self, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
        let new = beside(&self.file, ".new");
        remove_if_there(&new)?;
        write(&new).and_then(|()| self.put(&new).map_err(E::from)).inspect_err(|_| {
            // The error at hand matters more than what is left behind, which the next turn removes.
            let _ = fs::remove_file(&new);
        })
    }

    /// Puts `contents` in the file's place, readable by its owner alone.
    ///
    /// # Errors
    /// As [`Turn::replace`].
    pub fn write(&self, contents: &[u8]) -> io::Result<()> {
        self.replace(|new| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(new)?.write_all(contents)
        })
    }

    fn put(&self, new: &Path) -> io::Result<()> {
        File::open(new)?.sync_all()?;
        fs::rename(new, &self.file)?;
        File::open(directory(&self.file))?.sync_all()
    }
}

fn lock_within(lock: &File, patience: Duration) -> io::Result<()> {
    let end = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(suffix);
    path.into()
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
