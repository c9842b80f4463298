//! The pairs in their file.
//!
//! The file is a GDBM database, keys with their NUL, as kerneld's `persist.gdbm` was: of today's
//! format when we make it, and of whatever format it has when it was there before (32-bit offsets and
//! the magic of gdbm 1.7 included), so that the programs which wrote it read it still. It is the
//! only state: each call reads it, so admpersist and the daemon never disagree.
#![forbid(unsafe_code)]

use super::record::{Change, Key};
use super::replace::Turn;
use gdbm_native::{Endian, Gdbm, Layout, OpenOptions};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes of keys and values that the store takes; the whole of it is rewritten at each change.
pub const MAX_BYTES: usize = 1 << 20;

/// How long to wait for a program that has the database open for writing with C gdbm.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// What is stored: keys as they are in the file, normally with their NUL, and values.
pub type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A file of pairs; it need not exist before the first is set.
#[derive(Clone, Debug)]
pub struct Store {
    file: PathBuf,
}

/// Why the store cannot be read or changed. The file is then as it was before.
#[derive(Debug)]
pub struct StoreError {
    file: PathBuf,
    cause: Cause,
}

/// What stands in the way.
#[derive(Debug)]
enum Cause {
    /// The database cannot be used, or a system call on it failed.
    Database(gdbm_native::Error),
    /// It would grow to this many bytes, more than [`MAX_BYTES`].
    Full(usize),
    /// What was written did not read back the same.
    Differs,
}

impl From<gdbm_native::Error> for Cause {
    fn from(error: gdbm_native::Error) -> Self {
        Cause::Database(error)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Cause::Database(error.into())
    }
}

impl StoreError {
    /// The errno to answer a client with, positive: `EBUSY`, `ENOSPC`, that of a failed system call, else `EIO`.
    pub fn errno(&self) -> i32 {
        match &self.cause {
            Cause::Database(gdbm_native::Error::Locked) => libc::EBUSY,
            Cause::Database(gdbm_native::Error::Io(error)) => error.raw_os_error().unwrap_or(libc::EIO),
            Cause::Full(_) => libc::ENOSPC,
            Cause::Database(_) | Cause::Differs => libc::EIO,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "persistent storage {}: ", self.file.display())?;
        match &self.cause {
            Cause::Database(gdbm_native::Error::Locked) => {
                f.write_str("another program has it open for writing")
            }
            Cause::Database(gdbm_native::Error::Io(error)) => error.fmt(f),
            Cause::Database(error) => write!(f, "no usable GDBM database: {error}"),
            Cause::Full(bytes) => write!(f, "it would grow to {bytes} bytes, over {MAX_BYTES}"),
            Cause::Differs => f.write_str("what was written does not read back the same; left as it was"),
        }
    }
}

impl std::error::Error for StoreError {}

impl Store {
    /// The store in `file`.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Store { file: file.into() }
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All pairs, in the order of their keys; none when there is no file.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read as a GDBM database.
    pub fn list(&self) -> Result<Pairs, StoreError> {
        self.told(open(&self.file).map_err(Cause::from).and_then(|database| pairs(database.as_ref())))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.list()?.remove(&key.with_nul()))
    }

    /// Makes all the changes, or on an error none; they are on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.told(self.try_apply(changes))
    }

    fn try_apply(&self, changes: &[Change]) -> Result<(), Cause> {
        let turn = Turn::wait(&self.file)?;
        // Open until the end: no C gdbm may begin to write what is being replaced.
        let current = open(&self.file)?;
        let before = pairs(current.as_ref())?;
        let wanted = changed(before.clone(), changes);
        if wanted == before {
            return Ok(());
        }
        let bytes = wanted.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MAX_BYTES {
            return Err(Cause::Full(bytes));
        }
        turn.replace(|new| {
            if current.is_some() {
                fs::copy(&self.file, new)?;
            }
            rewrite(new, &before, &wanted)
        })
    }

    fn told<T>(&self, done: Result<T, Cause>) -> Result<T, StoreError> {
        done.map_err(|cause| StoreError { file: self.file.clone(), cause })
    }
}

/// Opens for reading; `None` for what C gdbm would begin afresh, a missing or empty file.
fn open(file: &Path) -> gdbm_native::Result<Option<Gdbm>> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.len() > 0 => OpenOptions::new().lock_wait(LOCK_WAIT).open(file).map(Some),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(None),
    }
}

fn pairs(database: Option<&Gdbm>) -> Result<Pairs, Cause> {
    database.map_or_else(|| Ok(Pairs::new()), |database| Ok(database.iter().collect::<Result<_, _>>()?))
}

fn changed(mut pairs: Pairs, changes: &[Change]) -> Pairs {
    for change in changes {
        match change {
            Change::Set(key, value) => pairs.insert(key.with_nul(), value.clone()),
            Change::Delete(key) => pairs.remove(&key.with_nul()),
        };
    }
    pairs
}

/// Brings the database in `file`, which holds `before` or does not exist, to `wanted`, and reads it again.
fn rewrite(file: &Path, before: &Pairs, wanted: &Pairs) -> Result<(), Cause> {
    let mut database = options_for_new().open(file)?;
    for key in before.keys().filter(|key| !wanted.contains_key(*key)) {
        database.remove(key)?;
    }
    for (key, value) in wanted.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
        database.insert(key, value)?;
    }
    database.close()?;
    if pairs(open(file)?.as_ref())? == *wanted { Ok(()) } else { Err(Cause::Differs) }
}

/// What C gdbm on this machine makes and every version of it reads: no numsync header (gdbm 1.21).
/// Readable by its owner only, for a reader's lock keeps others from writing.
fn options_for_new() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).numsync(false);
    if cfg!(target_arch = "x86") {
        options.layout(Layout::Off64Align4);
    }
    if cfg!(target_endian = "big") {
        options.endian(Endian::Big);
    }
    options
}
