//! One system's tree of files, as its own programs saw it.
//!
//! Every path is opened with `openat2(RESOLVE_IN_ROOT)`: the kernel itself keeps symbolic links, absolute or
//! with `..`, inside the tree, as chroot would, also while someone else changes it. What is opened is looked at
//! (`O_PATH`, `fstat`) before it is opened for reading, so that neither a pipe nor a device is ever touched.

use std::collections::BTreeMap;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};

/// Files above this size are refused, in bytes: the largest index of a kernel of today has 2 MiB.
const LARGEST_FILE: u64 = 16 << 20;

/// Modules above this size are not read, in bytes; the largest of today have 20 MiB.
const LARGEST_MODULE: u64 = 64 << 20;

/// A root directory, held open.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    directory: OwnedFd,
    owner: u32,
    /// Paths that an earlier `apply` wrote, and where the old file is kept (`None`: there was none).
    replaced: Option<BTreeMap<String, Option<String>>>,
}

/// A file's bytes and who can have written them.
#[derive(Debug)]
pub struct Content {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Someone other than root, the caller or the owner of the tree can write to it: this sentence says who.
    pub foreign: Option<String>,
}

impl Root {
    /// Opens a root directory.
    ///
    /// # Errors
    /// When it is not a directory that can be read.
    pub fn open(path: &Path) -> Result<Root> {
        let open = || -> io::Result<Root> {
            let directory = File::options()
                .read(true)
                .custom_flags(OFlag::O_DIRECTORY.bits() | OFlag::O_CLOEXEC.bits())
                .open(path)?;
            let owner = directory.metadata()?.uid();
            Ok(Root { path: path.to_owned(), directory: directory.into(), owner, replaced: None })
        };
        open().map_err(|why| Error::read(format!("the root directory {}", path.display()), why))
    }

    /// The same root, where [`read`](Root::read) and [`exists`](Root::exists) look through what an earlier
    /// `apply` wrote at the system as it was before: each path, and where its old file is kept.
    #[must_use]
    pub fn looking_through(mut self, replaced: BTreeMap<String, Option<String>>) -> Root {
        self.replaced = Some(replaced);
        self
    }

    /// Whether an earlier `apply` wrote here.
    pub fn is_applied(&self) -> bool {
        self.replaced.is_some()
    }

    fn original(&self, path: &str) -> Option<&Option<String>> {
        self.replaced.as_ref()?.get(path)
    }

    /// The directory as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens something below the root; symbolic links stay inside.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open_at(&self, path: &str, flags: OFlag) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::empty())
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        loop {
            match openat2(self.directory.as_fd(), relative(path), how) {
                // the kernel asks to try again when the tree was renamed about during the walk
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                other => return other.map_err(io::Error::from),
            }
        }
    }

    /// Reads a file of the old system; `Ok(None)` when there is none. A file that `apply` has replaced is read
    /// as it was before, one that `apply` has made is not there.
    ///
    /// # Errors
    /// When something stands there that is not a regular file of a sensible size, or reading fails.
    pub fn read(&self, path: &str) -> Result<Option<Content>> {
        match self.original(path) {
            None => self.read_as_is(path),
            Some(None) => Ok(None),
            // before it is saved, or after it is put back, the old file is where it always was
            Some(Some(backup)) => match self.read_as_is(backup)? {
                Some(content) => Ok(Some(content)),
                None => self.read_as_is(path),
            },
        }
    }

    /// Reads a file as it is now; `Ok(None)` when there is none.
    ///
    /// # Errors
    /// As [`read`](Root::read).
    pub fn read_as_is(&self, path: &str) -> Result<Option<Content>> {
        match self.read_regular(path, LARGEST_FILE) {
            Ok(content) => Ok(Some(content)),
            Err(why) if is_absence(&why) => Ok(None),
            Err(why) => Err(Error::read(path, why)),
        }
    }

    /// Reads a kernel module's file.
    ///
    /// # Errors
    /// When it is not a regular file of a sensible size, or cannot be read.
    pub(crate) fn read_module(&self, path: &str) -> Result<Vec<u8>> {
        let read = self.read_regular(path, LARGEST_MODULE);
        read.map(|content| content.bytes).map_err(|why| Error::read(path, why))
    }

    fn read_regular(&self, path: &str, limit: u64) -> io::Result<Content> {
        let looked_at = self.metadata(path)?;
        check_regular(&looked_at, limit)?;
        let file = File::from(self.open_at(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        let metadata = file.metadata()?;
        if identity(&metadata) != identity(&looked_at) {
            return Err(io::Error::other("it was replaced while it was opened; try again"));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        // it may grow while it is read
        file.take(limit + 1).read_to_end(&mut bytes)?;
        check_size(bytes.len() as u64, limit)?;
        Ok(Content { bytes, foreign: self.foreign(metadata.uid(), metadata.mode()) })
    }

    /// Who but root, the caller or the tree's owner can write to a file with this owner and mode.
    fn foreign(&self, uid: u32, mode: u32) -> Option<String> {
        if ![0, self.owner, nix::unistd::geteuid().as_raw()].contains(&uid) {
            Some(format!("it belongs to user {uid}, not to root"))
        } else if mode & 0o002 != 0 {
            Some("everybody may write to it".to_owned())
        } else {
            None
        }
    }

    /// The names in a directory below the root, sorted; none when it does not exist.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(directory) = self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK)
        else {
            return Vec::new();
        };
        let Ok(mut directory) = nix::dir::Dir::from_fd(directory) else {
            return Vec::new();
        };
        let mut names: Vec<String> = directory
            .iter()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name != "." && name != "..")
            .collect();
        names.sort();
        names
    }

    /// What stands at a path, links followed; nothing is opened for reading.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn metadata(&self, path: &str) -> io::Result<Metadata> {
        File::from(self.open_at(path, OFlag::O_PATH)?).metadata()
    }

    /// Which file a path leads to: its device and inode.
    pub fn identity(&self, path: &str) -> Option<(u64, u64)> {
        self.metadata(path).ok().map(|metadata| identity(&metadata))
    }

    /// Whether something exists at this path in the old system (as `access(F_OK)`, following links).
    pub fn exists(&self, path: &str) -> bool {
        self.original(path) != Some(&None) && self.open_at(path, OFlag::O_PATH).is_ok()
    }

    /// Whether a directory stands at this path.
    pub fn is_directory(&self, path: &str) -> bool {
        self.metadata(path).is_ok_and(|metadata| metadata.is_dir())
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_absence(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn check_regular(metadata: &Metadata, limit: u64) -> io::Result<()> {
    if metadata.is_file() {
        check_size(metadata.len(), limit)
    } else {
        Err(io::Error::other(format!("it is {}", irregular(metadata.file_type()))))
    }
}

/// What a file that is not a regular one is.
fn irregular(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "not a regular file",
    }
}

fn check_size(bytes: u64, limit: u64) -> io::Result<()> {
    if bytes > limit {
        return Err(io::Error::other(format!("it holds more than {} MiB", limit >> 20)));
    }
    Ok(())
}

fn relative(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        below => below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside_the_root() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        let inner = outer.path().join("root");
        std::fs::create_dir_all(inner.join("etc")).unwrap();
        symlink(outer.path().join("secret"), inner.join("etc/absolute")).unwrap();
        symlink("../../secret", inner.join("etc/upward")).unwrap();
        symlink("/etc/real", inner.join("etc/link")).unwrap();
        std::fs::write(inner.join("etc/real"), "inside").unwrap();
        let root = Root::open(&inner).unwrap();
        assert!(root.read("/etc/absolute").unwrap().is_none());
        assert!(root.read("/etc/upward").unwrap().is_none());
        assert_eq!(root.read("/etc/link").unwrap().unwrap().bytes, b"inside");
    }

    #[test]
    fn a_pipe_is_refused_and_does_not_block() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("conf"), Mode::S_IRWXU).unwrap();
        let error = Root::open(root.path()).unwrap().read("/conf").unwrap_err().to_string();
        assert!(error.contains("a pipe"), "{error}");
    }
}
