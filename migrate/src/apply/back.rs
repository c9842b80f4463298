//! Back: old files put in their places again, and what was not there before removed.

use std::io;

use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{copy, open_folder, remove, split, sync, temporary};
use super::folders::restore_stamps;
use super::manifest::{Entry, FOLDER, MANIFEST, Manifest, Observer, Phase, write_manifest};
use crate::error::{Error, Result};
use crate::root::Root;

/// Puts every old file back and removes what was not there before.
pub(super) fn take_back(root: &Root, mut manifest: Manifest, observer: &mut Observer) -> Result<()> {
    let untouched = manifest.phase == Phase::Preparing;
    if !untouched {
        manifest.phase = Phase::Undoing;
        observer("begin to undo");
        write_manifest(root, &manifest)?;
    }
    for entry in &manifest.files {
        observer("put a file back");
        put_back(root, entry, untouched).map_err(|why| Error::write(&entry.path, why))?;
    }
    let (ours, others): (Vec<&String>, Vec<&String>) =
        manifest.created.iter().rev().partition(|folder| FOLDER.starts_with(folder.as_str()));
    remove_folders(root, &others);
    observer("remove the manifest");
    let folder = open_folder(root, FOLDER).map_err(|why| Error::read(FOLDER, why))?;
    for name in [temporary(MANIFEST), MANIFEST.to_owned()] {
        remove(&folder, &name).map_err(|why| Error::write(format!("{FOLDER}/{name}"), why))?;
    }
    remove_folders(root, &ours);
    restore_stamps(root, &manifest.stamps);
    Ok(())
}

fn remove_folders(root: &Root, folders: &[&String]) {
    folders.iter().for_each(|folder| remove_empty_folder(root, folder));
}

/// Removes a folder, unless someone else's file is in it by now.
fn remove_empty_folder(root: &Root, folder: &str) {
    let (parent, name) = split(folder);
    if let Ok(parent) = open_folder(root, parent) {
        let _ = unlinkat(&parent, name, UnlinkatFlags::RemoveDir);
    }
}

/// A crash before there was a manifest leaves our folder, empty but for a manifest half written.
pub(super) fn remove_remains(root: &Root) -> Result<()> {
    let remains = || -> io::Result<()> {
        remove(&open_folder(root, FOLDER)?, &temporary(MANIFEST))?;
        let (parent, name) = split(FOLDER);
        Ok(unlinkat(&open_folder(root, parent)?, name, UnlinkatFlags::RemoveDir)?)
    };
    remains().map_err(|why| Error::write(FOLDER, why))
}

fn put_back(root: &Root, entry: &Entry, untouched: bool) -> io::Result<()> {
    let (folder, name) = split(&entry.path);
    let Ok(folder) = open_folder(root, folder) else { return Ok(()) };
    remove(&folder, &temporary(name))?;
    let ours = open_folder(root, FOLDER)?;
    match &entry.backup {
        None if untouched => Ok(()),
        None => remove(&folder, name),
        Some(backup) if untouched => remove(&ours, backup),
        Some(backup) => match renameat(&ours, backup.as_str(), &folder, name) {
            Ok(()) => {
                // renaming a link to another link of the same file leaves both
                remove(&ours, backup)?;
                sync(&folder)
            }
            // an interrupted undo has put it back already
            Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EXDEV) => {
                copy(&ours, backup, &folder, name)?;
                remove(&ours, backup)
            }
            Err(error) => Err(error.into()),
        },
    }
}
