//! One system's tree of files, as its own programs saw it.
//!
//! Every path is opened with `openat2(RESOLVE_IN_ROOT)`: the kernel itself keeps symbolic links, absolute or
//! with `..`, inside the tree, as chroot would, also while someone else changes it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use crate::apply::manifest::Manifest;

/// Configuration files above this size are refused: 64 MiB.
const LARGEST_FILE: u64 = 64 << 20;

/// A root directory, held open.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    directory: OwnedFd,
    owner: u32,
    /// What an earlier `apply` did here; reading looks through it, at the old system.
    applied: Option<Manifest>,
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
    pub fn open(path: &Path) -> Result<Root, String> {
        let open = || -> io::Result<Root> {
            let directory = File::options()
                .read(true)
                .custom_flags(OFlag::O_DIRECTORY.bits() | OFlag::O_CLOEXEC.bits())
                .open(path)?;
            let owner = directory.metadata()?.uid();
            Ok(Root { path: path.to_owned(), directory: directory.into(), owner, applied: None })
        };
        let mut root = open()
            .map_err(|error| format!("the root directory {} cannot be opened: {error}", path.display()))?;
        root.applied = Manifest::read(&root)?;
        Ok(root)
    }

    /// What an earlier `apply` did here.
    pub fn applied(&self) -> Option<&Manifest> {
        self.applied.as_ref()
    }

    /// The directory as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens something below the root; symbolic links stay inside.
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
    pub fn read(&self, path: &str) -> Result<Option<Content>, String> {
        match self.applied.as_ref().and_then(|manifest| manifest.original(path)) {
            None => self.read_as_is(path),
            Some(None) => Ok(None),
            // before it is saved, or after it is put back, the old file is where it always was
            Some(Some(backup)) => match self.read_as_is(&backup)? {
                Some(content) => Ok(Some(content)),
                None => self.read_as_is(path),
            },
        }
    }

    /// Reads a file as it is now; `Ok(None)` when there is none.
    pub fn read_as_is(&self, path: &str) -> Result<Option<Content>, String> {
        let file = match self.open_at(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
            Ok(file) => File::from(file),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(format!("{path} cannot be opened: {error}")),
        };
        self.read_open(file).map(Some).map_err(|error| format!("{path} cannot be read: {error}"))
    }

    fn read_open(&self, mut file: File) -> io::Result<Content> {
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "not a regular file"
            };
            return Err(io::Error::other(format!("it is {what}")));
        }
        if metadata.len() > LARGEST_FILE {
            return Err(io::Error::other(format!(
                "{} bytes are more than a configuration file has",
                metadata.len()
            )));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes)?;
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
        let Ok(directory) = self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else {
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

    /// Which file a path leads to: its device and inode.
    pub fn identity(&self, path: &str) -> Option<(u64, u64)> {
        let metadata = File::from(self.open_at(path, OFlag::O_PATH).ok()?).metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Whether something exists at this path in the old system (as `access(F_OK)`, following links).
    pub fn exists(&self, path: &str) -> bool {
        if self.applied.as_ref().and_then(|manifest| manifest.original(path)) == Some(None) {
            return false;
        }
        self.open_at(path, OFlag::O_PATH).is_ok()
    }
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
        let error = Root::open(root.path()).unwrap().read("/conf").unwrap_err();
        assert!(error.contains("a pipe"), "{error}");
    }
}
