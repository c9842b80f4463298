//! Folders that are written into: what they were like before, and the one of ours, which is the lock.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::files::{make_folders, open_folder, split, time_spec};
use super::manifest::{FOLDER, Stamp};
use crate::error::{Error, Result};
use crate::new::output::OutputFile;
use crate::root::Root;

/// Folders as they were before anything was written.
#[derive(Default)]
pub(super) struct Folders {
    /// Those that were not there, parents first.
    pub created: Vec<String>,
    /// When the others had last been changed.
    pub stamps: BTreeMap<String, Stamp>,
}

impl Folders {
    /// Notes every folder on the way to the files and to our own folder.
    pub(super) fn note(root: &Root, files: &[OutputFile]) -> Folders {
        let mut folders = Folders::default();
        for file in files {
            folders.note_path(root, split(&file.path).0);
        }
        folders.note_path(root, FOLDER);
        // a crash may have left it behind
        if !folders.created.iter().any(|folder| folder == FOLDER) {
            folders.created.push(FOLDER.to_owned());
        }
        folders
    }

    fn note_path(&mut self, root: &Root, folder: &str) {
        for part in ancestors(folder) {
            match root.metadata(part) {
                Ok(metadata) => {
                    self.stamps.insert(part.to_owned(), (metadata.mtime(), metadata.mtime_nsec()));
                }
                Err(_) if !self.created.iter().any(|old| old == part) => self.created.push(part.to_owned()),
                Err(_) => {}
            }
        }
    }
}

/// `/`, `/a`, `/a/b` of `/a/b`.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    let ends = folder.match_indices('/').map(|(index, _)| index).skip(1).chain([folder.len()]);
    std::iter::once("/").chain(ends.map(|end| &folder[..end])).filter(|part| !part.is_empty())
}

/// Gives folders their old times back.
pub(super) fn restore_stamps(root: &Root, stamps: &BTreeMap<String, Stamp>) {
    stamps.iter().for_each(|(folder, stamp)| restore_stamp(root, folder, *stamp));
}

fn restore_stamp(root: &Root, folder: &str, (seconds, nanoseconds): Stamp) {
    if let Ok(folder) = open_folder(root, folder) {
        // a folder of someone else keeps its new time: its content is what counts
        let _ = futimens(&folder, &TimeSpec::UTIME_OMIT, &time_spec(seconds, nanoseconds));
    }
}

/// Our folder, held. It is open to its owner alone, so nobody else can hold it against us.
pub(super) type Held = Flock<OwnedFd>;

/// Makes our folder where it is missing, and holds it.
pub(super) fn lock(root: &Root) -> Result<Held> {
    loop {
        make_folders(root, FOLDER, 0o700)?;
        // it may go between two calls, when another process ends its `undo`
        if let Some(held) = lock_existing(root)? {
            return Ok(held);
        }
    }
}

/// Holds our folder; `None` when there is none.
pub(super) fn lock_existing(root: &Root) -> Result<Option<Held>> {
    let Ok(folder) = open_folder(root, FOLDER) else { return Ok(None) };
    let held = Flock::lock(folder, FlockArg::LockExclusiveNonblock)
        .map_err(|_| Error::Busy { root: root.path().to_owned() })?;
    let metadata = held.try_clone().map(File::from).and_then(|file| file.metadata());
    let identity = metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok();
    Ok((root.identity(FOLDER) == identity).then_some(held))
}
