//! `apply` and `undo`: written ahead in a manifest, each file replaced by one rename.
//!
//! All new files are first written whole beside their places, under names that nobody reads, and synced; then they
//! are renamed, one system call each. A crash before that leaves the old state. A crash within those few
//! microseconds, or while old files are put back, is completed by the next `apply` and taken back by the next
//! `undo`: the manifest holds both states whole before the first file is touched.

mod files;
pub mod manifest;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use crate::account::Line;
use crate::apply::manifest::{Entry, FOLDER, MANIFEST, Manifest, Phase};
use crate::old::bytes::{from_bytes, to_bytes};
use crate::old::root::Root;
use crate::plan::Plan;
use files::{copy, make_folders, open_folder, remove, split, sync, temporary, write_at, write_temporary};

/// What a run changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as planned already.
    Unchanged,
    /// These paths were written or put back.
    Changed(Vec<String>),
}

/// Called before each step with its name: for tests that stop in the middle.
pub type Observer<'a> = dyn FnMut(&str) + 'a;

/// Refuses while lines need a person, except those in `accepted` (`FILE:LINE`).
pub fn check_accepted(plan: &Plan, accepted: &[String]) -> Result<(), String> {
    let accepted: HashSet<&str> = accepted.iter().map(String::as_str).collect();
    let read: HashSet<String> = plan.account.lines().iter().map(Line::place).collect();
    if let Some(place) = accepted.iter().find(|place| !read.contains(**place)) {
        return Err(format!("--accept {place}: no such line was read"));
    }
    let open: Vec<String> =
        plan.open_questions().map(Line::place).filter(|place| !accepted.contains(place.as_str())).collect();
    match open.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} line(s) need a person, and nothing was written: {}\nSee `plan` for the reasons; \
             --accept FILE:LINE goes on without a line.",
            open.join(" ")
        )),
    }
}

/// Puts the planned files in place.
pub fn apply(plan: &Plan, observer: &mut Observer) -> Result<Outcome, String> {
    let root = &plan.root;
    let _lock = lock(root)?;
    if let Some(manifest) = Manifest::read(root)? {
        if manifest.phase == Phase::Committing {
            manifest.files.iter().try_for_each(|entry| stage(root, entry))?;
            commit(root, manifest.clone(), observer)?;
        }
        if manifest.phase != Phase::Preparing && manifest.phase != Phase::Undoing && in_place(root, plan)? {
            return Ok(Outcome::Unchanged);
        }
        check_unchanged(root, &manifest)?;
        take_back(root, manifest, observer)?;
    } else if in_place(root, plan)? {
        return Ok(Outcome::Unchanged);
    }
    let manifest = prepare(root, plan, observer)?;
    let paths = manifest.files.iter().map(|entry| entry.path.clone()).collect();
    commit(root, manifest, observer)?;
    Ok(Outcome::Changed(paths))
}

/// Puts everything back. Refuses when a written file was changed since, unless `force`.
pub fn undo(root: &Root, force: bool, observer: &mut Observer) -> Result<Outcome, String> {
    let _lock = lock(root)?;
    let Some(manifest) = Manifest::read(root)? else {
        return remove_remains(root).map(|()| Outcome::Unchanged);
    };
    if !force {
        check_unchanged(root, &manifest)?;
    }
    let paths = manifest.files.iter().map(|entry| entry.path.clone()).collect();
    take_back(root, manifest, observer)?;
    Ok(Outcome::Changed(paths))
}

/// Refuses to throw away what someone changed in a file after it was written.
fn check_unchanged(root: &Root, manifest: &Manifest) -> Result<(), String> {
    for entry in manifest.files.iter().filter(|_| manifest.phase == Phase::Done) {
        let current = root.read_as_is(&entry.path)?.map(|content| content.bytes);
        if current.is_some_and(|bytes| bytes != to_bytes(&entry.content)) {
            let path = &entry.path;
            return Err(format!("{path} was changed since it was written: save it, then use `undo --force`"));
        }
    }
    Ok(())
}

/// Writes the planned files below another, plain directory.
pub fn write_tree(plan: &Plan, directory: &std::path::Path) -> Result<Vec<String>, String> {
    let mut written = Vec::new();
    for file in &plan.files {
        let path = directory.join(file.path.trim_start_matches('/'));
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(path.parent().expect("a file has a folder"))?;
            let mut temporary = tempfile::NamedTempFile::new_in(path.parent().expect("a file has a folder"))?;
            temporary.write_all(&file.content())?;
            fchmod(&temporary, Mode::from_bits_truncate(0o644))?;
            temporary.persist(&path)?;
            Ok(())
        };
        write().map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

fn lock(root: &Root) -> Result<Flock<OwnedFd>, String> {
    let directory =
        root.open_at("/", OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(|error| error.to_string())?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock)
        .map_err(|_| format!("another kerneld-migrate is at work on {}", root.path().display()))
}

fn in_place(root: &Root, plan: &Plan) -> Result<bool, String> {
    let manifest = Manifest::read(root)?;
    let stale = manifest.iter().flat_map(|manifest| &manifest.files);
    if stale.into_iter().any(|entry| !plan.files.iter().any(|file| file.path == entry.path)) {
        return Ok(false);
    }
    for file in &plan.files {
        if root.read_as_is(&file.path)?.is_none_or(|content| content.bytes != file.content()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Saves the old files and writes down what will be done. Changes nothing that anyone reads.
fn prepare(root: &Root, plan: &Plan, observer: &mut Observer) -> Result<Manifest, String> {
    let mut manifest =
        Manifest { phase: Phase::Preparing, files: Vec::new(), created: Vec::new(), stamps: BTreeMap::new() };
    for (index, file) in plan.files.iter().enumerate() {
        let current = old_file(root, &file.path)?;
        if current.as_ref().is_some_and(|bytes| *bytes == file.content()) {
            continue;
        }
        note_folder(root, split(&file.path).0, &mut manifest);
        let backup = current.map(|_| format!("old-{index}"));
        manifest.files.push(Entry { path: file.path.clone(), backup, content: from_bytes(&file.content()) });
    }
    note_folder(root, FOLDER, &mut manifest);
    observer("make the folder for the manifest");
    make_folders(root, FOLDER, 0o700)?;
    observer("write the manifest");
    write_manifest(root, &manifest)?;
    for entry in &manifest.files {
        observer("save an old file");
        if let Some(backup) = &entry.backup {
            save(root, &entry.path, backup)
                .map_err(|error| format!("{} cannot be saved: {error}", entry.path))?;
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

/// The bytes of the regular file at a path; anything else there is an error.
fn old_file(root: &Root, path: &str) -> Result<Option<Vec<u8>>, String> {
    let (folder, name) = split(path);
    let Ok(folder) = open_folder(root, folder) else { return Ok(None) };
    match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(format!("{path}: {error}")),
        Ok(found) if found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() => {
            Ok(root.read_as_is(path)?.map(|content| content.bytes))
        }
        Ok(_) => Err(format!("{path} is not a regular file (a link?): it is not written through")),
    }
}

/// Puts the new files in place, each by one rename.
fn commit(root: &Root, mut manifest: Manifest, observer: &mut Observer) -> Result<(), String> {
    let mut folders = Vec::new();
    for entry in &manifest.files {
        folders.push(
            open_folder(root, split(&entry.path).0).map_err(|error| format!("{}: {error}", entry.path))?,
        );
    }
    for (entry, folder) in manifest.files.iter().zip(&folders) {
        observer("replace a file");
        let name = split(&entry.path).1;
        renameat(folder, temporary(name).as_str(), folder, name)
            .map_err(|error| format!("{} cannot be put in place: {error}", entry.path))?;
    }
    for folder in &folders {
        sync(folder).map_err(|error| error.to_string())?;
    }
    observer("all is written");
    manifest.phase = Phase::Done;
    write_manifest(root, &manifest)?;
    observer("done");
    Ok(())
}

/// Writes a new file beside its place, with the old file's owner and mode.
fn stage(root: &Root, entry: &Entry) -> Result<(), String> {
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
        write_temporary(&folder, name, &to_bytes(&entry.content), old.as_ref())
    };
    write().map_err(|error| format!("{} cannot be written: {error}", entry.path))
}

/// Puts every old file back and removes what was not there before.
fn take_back(root: &Root, mut manifest: Manifest, observer: &mut Observer) -> Result<(), String> {
    let untouched = manifest.phase == Phase::Preparing;
    if !untouched {
        manifest.phase = Phase::Undoing;
        observer("begin to undo");
        write_manifest(root, &manifest)?;
    }
    for entry in &manifest.files {
        observer("put a file back");
        put_back(root, entry, untouched)
            .map_err(|error| format!("{} cannot be put back: {error}", entry.path))?;
    }
    let remove_folders = |folders: &mut dyn Iterator<Item = &String>| {
        for folder in folders {
            let (parent, name) = split(folder);
            if let Ok(parent) = open_folder(root, parent) {
                // someone else's file may be in it by now: then it stays
                let _ = unlinkat(&parent, name, UnlinkatFlags::RemoveDir);
            }
        }
    };
    let is_ours = |folder: &&String| FOLDER.starts_with(folder.as_str());
    remove_folders(&mut manifest.created.iter().rev().filter(|folder| !is_ours(folder)));
    observer("remove the manifest");
    let folder = open_folder(root, FOLDER).map_err(|error| error.to_string())?;
    for name in [temporary(MANIFEST), MANIFEST.to_owned()] {
        remove(&folder, &name).map_err(|error| format!("the manifest cannot be removed: {error}"))?;
    }
    remove_folders(&mut manifest.created.iter().rev().filter(is_ours));
    restore_stamps(root, &manifest);
    Ok(())
}

/// A crash before there was a manifest leaves our folder, empty but for a manifest half written.
fn remove_remains(root: &Root) -> Result<(), String> {
    let Ok(folder) = open_folder(root, FOLDER) else { return Ok(()) };
    remove(&folder, &temporary(MANIFEST)).map_err(|error| format!("{FOLDER} cannot be cleaned: {error}"))?;
    let (parent, name) = split(FOLDER);
    let parent = open_folder(root, parent).map_err(|error| error.to_string())?;
    unlinkat(&parent, name, UnlinkatFlags::RemoveDir)
        .map_err(|error| format!("{FOLDER} cannot be removed: {error}"))
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

fn write_manifest(root: &Root, manifest: &Manifest) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| error.to_string())?;
    let write = || write_at(&open_folder(root, FOLDER)?, MANIFEST, &text, None);
    write().map_err(|error| format!("{FOLDER}/{MANIFEST} cannot be written: {error}"))
}

/// Notes which folders of a path have to be made, and the time stamps of those that are there.
fn note_folder(root: &Root, folder: &str, manifest: &mut Manifest) {
    for end in folder.match_indices('/').map(|(index, _)| index).skip(1).chain([folder.len()]) {
        let part = &folder[..end];
        match open_folder(root, part).and_then(|open| File::from(open).metadata()) {
            Ok(metadata) => {
                manifest.stamps.insert(part.to_owned(), (metadata.mtime(), metadata.mtime_nsec()));
            }
            Err(_) if !manifest.created.iter().any(|old| old == part) => {
                manifest.created.push(part.to_owned())
            }
            Err(_) => {}
        }
    }
    if let Ok(metadata) = open_folder(root, "/").and_then(|open| File::from(open).metadata()) {
        manifest.stamps.insert("/".to_owned(), (metadata.mtime(), metadata.mtime_nsec()));
    }
}

fn restore_stamps(root: &Root, manifest: &Manifest) {
    for (folder, (seconds, nanoseconds)) in &manifest.stamps {
        if let Ok(folder) = open_folder(root, folder) {
            let stamp = TimeSpec::new(*seconds, *nanoseconds);
            // a folder of someone else keeps its new time: its content is what counts
            let _ = futimens(&folder, &TimeSpec::UTIME_OMIT, &stamp);
        }
    }
}
