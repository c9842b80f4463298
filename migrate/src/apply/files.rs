//! Files and folders below a root, by open folders and names in them: no path is walked twice.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use crate::error::{Error, Result};
use crate::root::Root;

/// Writes a file and renames it to its place.
pub(super) fn write_at(
    folder: &OwnedFd,
    name: &str,
    bytes: &[u8],
    like: Option<&std::fs::Metadata>,
) -> io::Result<()> {
    write_temporary(folder, name, bytes, like)?.sync_all()?;
    renameat(folder, temporary(name).as_str(), folder, name)?;
    sync(folder)
}

/// Writes a file beside its place, with the owner and mode of another. It is not synced yet.
pub(super) fn write_temporary(
    folder: &OwnedFd,
    name: &str,
    bytes: &[u8],
    like: Option<&std::fs::Metadata>,
) -> io::Result<File> {
    let temporary = temporary(name);
    remove(folder, &temporary)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut file = File::from(openat(folder, temporary.as_str(), flags, Mode::from_bits_truncate(0o600))?);
    file.write_all(bytes)?;
    if let Some(like) = like {
        fchown(&file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
    }
    fchmod(&file, Mode::from_bits_truncate(like.map_or(0o644, |like| like.mode() & 0o7777)))?;
    Ok(file)
}

/// A name that no reader of configuration folders takes: hidden, and without `.conf` at its end.
pub(super) fn temporary(name: &str) -> String {
    format!(".{name}.kerneld-migrate-new")
}

/// Copies a file with owner, mode and time.
pub(super) fn copy(from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> io::Result<()> {
    let mut file = File::from(openat(
        from,
        name,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW,
        Mode::empty(),
    )?);
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    write_at(to, new_name, &bytes, Some(&metadata))?;
    let stamp = time_spec(metadata.mtime(), metadata.mtime_nsec());
    Ok(utimensat(to, new_name, &stamp, &stamp, UtimensatFlags::NoFollowSymlink)?)
}

/// A file's time; the present where this machine's `time_t` has no room for it (32 bits end in 2038).
#[allow(clippy::useless_conversion, reason = "the fields' sizes are the machine's")]
pub(super) fn time_spec(seconds: i64, nanoseconds: i64) -> TimeSpec {
    let fields = seconds.try_into().ok().zip(nanoseconds.try_into().ok());
    fields.map_or(TimeSpec::UTIME_NOW, |(seconds, nanoseconds)| TimeSpec::new(seconds, nanoseconds))
}

/// Makes every folder of a path that is not there, the last one with this mode.
pub(super) fn make_folders(root: &Root, folder: &str, mode: u32) -> Result<()> {
    for end in folder.match_indices('/').map(|(index, _)| index).skip(1).chain([folder.len()]) {
        let path = &folder[..end];
        let last = if end == folder.len() { mode } else { 0o755 };
        make_folder(root, path, last).map_err(|why| Error::write(path, why))?;
    }
    Ok(())
}

fn make_folder(root: &Root, path: &str, mode: u32) -> io::Result<()> {
    let (parent, name) = split(path);
    let parent = open_folder(root, parent)?;
    match mkdirat(&parent, name, Mode::from_bits_truncate(mode)) {
        Ok(()) => {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            let made = openat(&parent, name, flags, Mode::empty())?;
            fchmod(&made, Mode::from_bits_truncate(mode))?;
            sync(&parent)
        }
        Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn open_folder(root: &Root, path: &str) -> io::Result<OwnedFd> {
    root.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
}

pub(super) fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn sync(folder: &OwnedFd) -> io::Result<()> {
    File::from(folder.as_fd().try_clone_to_owned()?).sync_all()
}

/// `/a/b/c` → (`/a/b`, `c`).
pub(super) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}
