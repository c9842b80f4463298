//! `apply` and `undo`: written ahead in a manifest, each file replaced by one rename.
//!
//! A crash leaves the old state (nothing replaced yet) or is completed by the next `apply` or taken back by the
//! next `undo`: the manifest holds both states whole before the first file is touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, linkat, unlinkat};

use crate::plan::Plan;
use crate::root::Root;
use crate::state::{Entry, FOLDER, MANIFEST, Manifest, Phase};
use crate::text::{from_bytes, to_bytes};

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
    let open: Vec<String> = plan
        .open_questions()
        .map(crate::account::Line::place)
        .filter(|place| !accepted.contains(place))
        .collect();
    for place in accepted {
        if !plan.account.lines().iter().any(|line| line.place() == *place) {
            return Err(format!("--accept {place}: no such line was read"));
        }
    }
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
            commit(root, manifest.clone(), observer)?;
        }
        if manifest.phase != Phase::Preparing && manifest.phase != Phase::Undoing && in_place(root, plan)? {
            return Ok(Outcome::Unchanged);
        }
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
    if manifest.phase == Phase::Done && !force {
        for entry in &manifest.files {
            let current = root.read_as_is(&entry.path)?.map(|content| content.bytes);
            if current.is_some_and(|bytes| bytes != to_bytes(&entry.content)) {
                return Err(format!(
                    "{} was changed since it was written: save it, then use --force",
                    entry.path
                ));
            }
        }
    }
    let paths = manifest.files.iter().map(|entry| entry.path.clone()).collect();
    take_back(root, manifest, observer)?;
    Ok(Outcome::Changed(paths))
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
        Ok(found) if found.st_mode & libc_format() == regular() => {
            Ok(root.read_as_is(path)?.map(|content| content.bytes))
        }
        Ok(_) => Err(format!("{path} is not a regular file (a link?): it is not written through")),
    }
}

fn libc_format() -> u32 {
    nix::sys::stat::SFlag::S_IFMT.bits()
}

fn regular() -> u32 {
    nix::sys::stat::SFlag::S_IFREG.bits()
}

/// Puts the new files in place, each by one rename.
fn commit(root: &Root, mut manifest: Manifest, observer: &mut Observer) -> Result<(), String> {
    for entry in &manifest.files {
        observer("make folders");
        make_folders(root, split(&entry.path).0, 0o755)?;
        observer("replace a file");
        replace(root, entry).map_err(|error| format!("{} cannot be written: {error}", entry.path))?;
    }
    observer("all is written");
    manifest.phase = Phase::Done;
    write_manifest(root, &manifest)?;
    observer("done");
    Ok(())
}

/// Writes one file beside its place and renames it there, with the old file's owner and mode.
fn replace(root: &Root, entry: &Entry) -> io::Result<()> {
    let (folder, name) = split(&entry.path);
    let folder = open_folder(root, folder)?;
    let old = match &entry.backup {
        Some(backup) => {
            Some(File::from(root.open_at(&format!("{FOLDER}/{backup}"), OFlag::O_RDONLY)?).metadata()?)
        }
        None => None,
    };
    write_at(&folder, name, &to_bytes(&entry.content), old.as_ref())
}

fn write_at(folder: &OwnedFd, name: &str, bytes: &[u8], like: Option<&std::fs::Metadata>) -> io::Result<()> {
    let temporary = temporary(name);
    remove(folder, &temporary)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut file = File::from(openat(folder, temporary.as_str(), flags, Mode::from_bits_truncate(0o600))?);
    file.write_all(bytes)?;
    if let Some(like) = like {
        fchown(&file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
    }
    fchmod(&file, Mode::from_bits_truncate(like.map_or(0o644, |like| like.mode() & 0o7777)))?;
    file.sync_all()?;
    renameat(folder, temporary.as_str(), folder, name)?;
    sync(folder)
}

/// A name that no reader of configuration folders takes: hidden, and without `.conf` at its end.
fn temporary(name: &str) -> String {
    format!(".{name}.kerneld-migrate-new")
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
            Ok(()) => sync(&folder),
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

/// Copies a file with owner, mode and time.
fn copy(from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> io::Result<()> {
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
    let stamp = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    Ok(utimensat(to, new_name, &stamp, &stamp, UtimensatFlags::NoFollowSymlink)?)
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

fn make_folders(root: &Root, folder: &str, mode: u32) -> Result<(), String> {
    for end in folder.match_indices('/').map(|(index, _)| index).skip(1).chain([folder.len()]) {
        let (parent, name) = split(&folder[..end]);
        let make = || -> io::Result<()> {
            let parent = open_folder(root, parent)?;
            let last = if end == folder.len() { mode } else { 0o755 };
            match mkdirat(&parent, name, Mode::from_bits_truncate(last)) {
                Ok(()) => {
                    let made = openat(
                        &parent,
                        name,
                        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW,
                        Mode::empty(),
                    )?;
                    fchmod(&made, Mode::from_bits_truncate(last))?;
                    sync(&parent)
                }
                Err(Errno::EEXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        make().map_err(|error| format!("the folder {} cannot be made: {error}", &folder[..end]))?;
    }
    Ok(())
}

fn open_folder(root: &Root, path: &str) -> io::Result<OwnedFd> {
    root.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sync(folder: &OwnedFd) -> io::Result<()> {
    File::from(folder.as_fd().try_clone_to_owned()?).sync_all()
}

/// `/a/b/c` → (`/a/b`, `c`).
fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}
