//! The two commands from beginning to end.

use std::collections::HashSet;

use super::back::{remove_remains, take_back};
use super::folders::{Folders, lock, lock_existing};
use super::forward::{commit, prepare, stage};
use super::manifest::{Entry, Manifest, Observer, Phase};
use crate::account::{Account, Line};
use crate::error::{Error, Result};
use crate::new::output::OutputFile;
use crate::old::bytes::to_bytes;
use crate::root::Root;

/// What a run changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as planned already.
    Unchanged,
    /// These paths were written or put back.
    Changed(Vec<String>),
}

/// Refuses while lines need a person, except those in `accepted` (`FILE:LINE`).
///
/// # Errors
/// The lines that are still open, or an accepted one that was not read.
pub fn check_accepted(account: &Account, accepted: &[String]) -> Result<()> {
    let accepted: HashSet<&str> = accepted.iter().map(String::as_str).collect();
    let read: HashSet<String> = account.lines().iter().map(Line::place).collect();
    if let Some(place) = accepted.iter().find(|place| !read.contains(**place)) {
        return Err(Error::NoSuchLine { place: (*place).to_owned() });
    }
    let places: Vec<String> = account
        .open_questions()
        .map(Line::place)
        .filter(|place| !accepted.contains(place.as_str()))
        .collect();
    if places.is_empty() { Ok(()) } else { Err(Error::Open { places }) }
}

/// Puts the planned files in place.
///
/// # Errors
/// When something cannot be read or written, when a written file was changed since, or when another process is at
/// work on the root.
pub fn apply(root: &Root, files: &[OutputFile], observer: &mut Observer) -> Result<Outcome> {
    if Manifest::read(root)?.is_none() && in_place(root, None, files)? {
        return Ok(Outcome::Unchanged);
    }
    let mut folders = Folders::note(root, files);
    observer("make the folder for the manifest");
    let mut held = lock(root)?;
    if let Some(manifest) = Manifest::read(root)? {
        if finish(root, &manifest, files, observer)? {
            return Ok(Outcome::Unchanged);
        }
        check_unchanged(root, &manifest)?;
        take_back(root, manifest, observer)?;
        // our folder went with it
        folders = Folders::note(root, files);
        held = lock(root)?;
    }
    let manifest = prepare(root, files, folders, observer)?;
    let paths = manifest.files.iter().map(|entry| entry.path.clone()).collect();
    commit(root, manifest, observer)?;
    drop(held);
    Ok(Outcome::Changed(paths))
}

/// Completes what an earlier `apply` had begun to rename; returns whether all is as planned now.
fn finish(root: &Root, manifest: &Manifest, files: &[OutputFile], observer: &mut Observer) -> Result<bool> {
    if manifest.phase == Phase::Committing {
        manifest.files.iter().try_for_each(|entry| stage(root, entry))?;
        commit(root, manifest.clone(), observer)?;
    }
    let is_whole = !matches!(manifest.phase, Phase::Preparing | Phase::Undoing);
    Ok(is_whole && in_place(root, Some(manifest), files)?)
}

/// Puts everything back. Refuses when a written file was changed since, unless `force`.
///
/// # Errors
/// When something cannot be put back, when a written file was changed since, or when another process is at work on
/// the root.
pub fn undo(root: &Root, force: bool, observer: &mut Observer) -> Result<Outcome> {
    let Some(_held) = lock_existing(root)? else { return Ok(Outcome::Unchanged) };
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
fn check_unchanged(root: &Root, manifest: &Manifest) -> Result<()> {
    for entry in manifest.files.iter().filter(|_| manifest.phase == Phase::Done) {
        if is_changed(root, entry)? {
            return Err(Error::Changed { path: entry.path.clone() });
        }
    }
    Ok(())
}

fn is_changed(root: &Root, entry: &Entry) -> Result<bool> {
    let current = root.read_as_is(&entry.path)?;
    Ok(current.is_some_and(|content| content.bytes != to_bytes(&entry.content)))
}

/// Whether the planned files, and no others of ours, are in place.
fn in_place(root: &Root, manifest: Option<&Manifest>, files: &[OutputFile]) -> Result<bool> {
    let mut written = manifest.into_iter().flat_map(|manifest| &manifest.files);
    if written.any(|entry| !files.iter().any(|file| file.path == entry.path)) {
        return Ok(false);
    }
    for file in files {
        if root.read_as_is(&file.path)?.is_none_or(|content| content.bytes != file.content()) {
            return Ok(false);
        }
    }
    Ok(true)
}
