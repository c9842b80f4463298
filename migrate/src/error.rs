//! Why a command of this program could not be carried out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the whole command, in words for the person who gave it.
///
/// What only concerns one line of the old system is never an error: it is a
/// [`Question`](crate::account::Question) in the account.
#[allow(missing_docs)] // the variants' sentences say it
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be opened or read. The path is below the root where a root is at hand.
    Read { path: String, why: io::Error },
    /// A file or folder cannot be made, written or removed.
    Write { path: String, why: io::Error },
    /// A file that was named on the command line is not there.
    Missing { path: String },
    /// A file of ours can have been written by someone else.
    Untrusted { path: String, why: String },
    /// A file of ours cannot be understood.
    Damaged { path: String, why: String },
    /// A file was changed since `apply` wrote it.
    Changed { path: String },
    /// Something that is not a regular file stands where a file is to be written.
    NotRegular { path: String },
    /// Another process works on this root.
    Busy { root: PathBuf },
    /// There is no module index.
    NoIndex { release: Option<String>, root: PathBuf },
    /// There are several module indexes and none was chosen.
    SeveralIndexes { root: PathBuf, releases: Vec<String> },
    /// Lines need a person; these are their places.
    Open { places: Vec<String> },
    /// `--accept` names a line that was not read.
    NoSuchLine { place: String },
    /// A value of an option is not one of its values.
    Usage { message: String },
    /// modprobe cannot be run.
    Modprobe { why: io::Error },
    /// Standard output cannot be written.
    Print { why: io::Error },
}

/// What commands of this program return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn read(path: impl fmt::Display, why: io::Error) -> Error {
        Error::Read { path: path.to_string(), why }
    }

    pub(crate) fn write(path: impl fmt::Display, why: impl Into<io::Error>) -> Error {
        Error::Write { path: path.to_string(), why: why.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Error {
        Error::Usage { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Read { path, why } => write!(f, "{path} cannot be read: {why}"),
            Error::Write { path, why } => write!(f, "{path} cannot be written: {why}"),
            Error::Missing { path } => write!(f, "there is no {path} below the root"),
            Error::Untrusted { path, why } => write!(f, "{path} cannot be trusted: {why}"),
            Error::Damaged { path, why } => write!(f, "{path} is damaged: {why}"),
            Error::Changed { path } => write!(f, "{path} {CHANGED}"),
            Error::NotRegular { path } => write!(f, "{path} {NOT_REGULAR}"),
            Error::Busy { root } => write!(f, "{BUSY} ({})", root.display()),
            Error::NoIndex { release, root } => no_index(f, release.as_deref(), root),
            Error::SeveralIndexes { root, releases } => several(f, root, releases),
            Error::Open { places } => open(f, places),
            Error::NoSuchLine { place } => write!(f, "--accept {place}: no such line was read"),
            Error::Usage { message } => f.write_str(message),
            Error::Modprobe { why } => write!(f, "modprobe cannot be run: {why} (it is in the package kmod)"),
            Error::Print { why } => write!(f, "printing failed: {why}"),
        }
    }
}

const CHANGED: &str = "was changed since it was written: save it, then use `undo --force`";
const NOT_REGULAR: &str = "is not a regular file (perhaps a link): nothing is written through it";
const BUSY: &str = "another kerneld-migrate is at work on this root; try again when it has ended";

fn several(f: &mut fmt::Formatter, root: &Path, releases: &[String]) -> fmt::Result {
    let (root, releases) = (root.display(), releases.join(", "));
    write!(f, "there are several kernels below {root}: choose one with --kernel ({releases})")
}

fn open(f: &mut fmt::Formatter, places: &[String]) -> fmt::Result {
    let (count, places) = (places.len(), places.join(" "));
    write!(
        f,
        "{count} line(s) need a person, and nothing was written: {places}\n\
         See `plan` for the reasons; --accept FILE:LINE goes on without a line."
    )
}

fn no_index(f: &mut fmt::Formatter, release: Option<&str>, root: &Path) -> fmt::Result {
    let which = release.unwrap_or("any kernel");
    let root = root.display();
    write!(f, "there is no module index of {which} below {root} (lib/modules/RELEASE/modules.dep)")
}

impl std::error::Error for Error {}
