//! Forward: old files saved, new ones written beside their places, and renamed into them.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, renameat};
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::linkat;

use super::files::{copy, make_folders, open_folder, remove, split, sync, temporary, write_temporary};
use super::folders::Folders;
use super::manifest::{Entry, FOLDER, Manifest, Observer, Phase, write_manifest};
use crate::error::{Error, Result};
use crate::new::output::OutputFile;
use crate::old::bytes::{from_bytes, to_bytes};
use crate::root::Root;

/// Saves the old files and writes down what will be done. Changes nothing that anyone reads.
pub(super) fn prepare(
    root: &Root,
    files: &[OutputFile],
    folders: Folders,
    observer: &mut Observer,
) -> Result<Manifest> {
    let Folders { created, stamps } = folders;
    let mut manifest = Manifest { phase: Phase::Preparing, files: entries(root, files)?, created, stamps };
    observer("write the manifest");
    write_manifest(root, &manifest)?;
    for entry in &manifest.files {
        observer("save an old file");
        if let Some(backup) = &entry.backup {
            save(root, &entry.path, backup).map_err(|why| Error::write(&entry.path, why))?;
        }
    }
    for entry in &manifest.files {
        observer("write a new file");
        stage(root, entry)?;
    }
    observer("all is saved");
    manifest.phase = Phase::Committing;
    write_manifest(root, &manifest)?;
    Ok(manifest)
}

/// The files that have to be written, each with the name under which its old content is kept.
fn entries(root: &Root, files: &[OutputFile]) -> Result<Vec<Entry>> {
    let entries = files.iter().enumerate().map(|(index, file)| entry(root, index, file));
    entries.filter_map(Result::transpose).collect()
}

/// What is to be done for one file: nothing where it is in place already.
fn entry(root: &Root, index: usize, file: &OutputFile) -> Result<Option<Entry>> {
    let (current, content) = (old_file(root, &file.path)?, file.content());
    if current.as_ref() == Some(&content) {
        return Ok(None);
    }
    let backup = current.map(|_| format!("old-{index}"));
    Ok(Some(Entry { path: file.path.clone(), backup, content: from_bytes(&content) }))
}

/// The bytes of the regular file at a path; anything else there is an error.
fn old_file(root: &Root, path: &str) -> Result<Option<Vec<u8>>> {
    let (folder, name) = split(path);
    let Ok(folder) = open_folder(root, folder) else { return Ok(None) };
    match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(None),
        Err(why) => Err(Error::read(path, why.into())),
        Ok(found) if found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() => {
            Ok(root.read_as_is(path)?.map(|content| content.bytes))
        }
        Ok(_) => Err(Error::NotRegular { path: path.to_owned() }),
    }
}

/// Puts the new files in place, each by one rename.
pub(super) fn commit(root: &Root, mut manifest: Manifest, observer: &mut Observer) -> Result<()> {
    let mut folders = Vec::new();
    for entry in &manifest.files {
        let folder = split(&entry.path).0;
        folders.push(open_folder(root, folder).map_err(|why| Error::read(folder, why))?);
    }
    for (entry, folder) in manifest.files.iter().zip(&folders) {
        observer("replace a file");
        let name = split(&entry.path).1;
        renameat(folder, temporary(name).as_str(), folder, name)
            .map_err(|why| Error::write(&entry.path, why))?;
    }
    for folder in &folders {
        sync(folder).map_err(|why| Error::write("a folder", why))?;
    }
    observer("all is written");
    manifest.phase = Phase::Done;
    write_manifest(root, &manifest)?;
    observer("done");
    Ok(())
}

/// Writes a new file beside its place, with the old file's owner and mode.
pub(super) fn stage(root: &Root, entry: &Entry) -> Result<()> {
    let (folder, name) = split(&entry.path);
    make_folders(root, folder, 0o755)?;
    let write = || -> io::Result<()> {
        let folder = open_folder(root, folder)?;
        let old = match &entry.backup {
            Some(backup) => {
                Some(File::from(root.open_at(&format!("{FOLDER}/{backup}"), OFlag::O_RDONLY)?).metadata()?)
            }
            None => None,
        };
        write_temporary(&folder, name, &to_bytes(&entry.content), old.as_ref())?.sync_all()
    };
    write().map_err(|why| Error::write(&entry.path, why))
}

/// Keeps the old file itself, by a second link to it, or a copy where links are not allowed.
fn save(root: &Root, path: &str, backup: &str) -> io::Result<()> {
    let (folder, name) = split(path);
    let (folder, ours) = (open_folder(root, folder)?, open_folder(root, FOLDER)?);
    remove(&ours, backup)?;
    match linkat(&folder, name, &ours, backup, AtFlags::empty()) {
        Ok(()) => sync(&ours),
        Err(Errno::EXDEV | Errno::EPERM | Errno::EMLINK) => copy(&folder, name, &ours, backup),
        Err(error) => Err(error.into()),
    }
}
