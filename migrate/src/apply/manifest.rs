//! What `apply` did, kept below the root so that `undo` can take it back: a manifest and the old files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::old::root::Root;

/// The folder below the root that holds the manifest and the old files.
pub const FOLDER: &str = "/var/lib/kerneld-migrate";
/// The manifest's file name in [`FOLDER`].
pub const MANIFEST: &str = "manifest.json";

/// How far `apply` or `undo` has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Old files are being saved; nothing is changed yet.
    Preparing,
    /// Everything is saved; files are being replaced.
    Committing,
    /// The new files are in place.
    Done,
    /// Old files are being put back.
    Undoing,
}

/// One file that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the root.
    pub path: String,
    /// The name of the old file in [`FOLDER`]; none when there was no old file.
    pub backup: Option<String>,
    /// The new content, as [`crate::old::bytes`] reads bytes.
    pub content: String,
}

/// A time stamp of a folder that is written into: seconds and nanoseconds since 1970.
pub type Stamp = (i64, i64);

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// How far it has come.
    pub phase: Phase,
    /// The files.
    pub files: Vec<Entry>,
    /// Folders that were not there before, parents first.
    pub created: Vec<String>,
    /// When folders that were there had last been changed.
    pub stamps: BTreeMap<String, Stamp>,
}

impl Manifest {
    /// Reads the manifest of a root, if there is one.
    pub fn read(root: &Root) -> Result<Option<Manifest>, String> {
        let path = format!("{FOLDER}/{MANIFEST}");
        let Some(content) = root.read_as_is(&path)? else { return Ok(None) };
        if let Some(why) = content.foreign {
            return Err(format!("{path} cannot be trusted: {why}"));
        }
        serde_json::from_slice(&content.bytes)
            .map(Some)
            .map_err(|error| format!("{path} is damaged: {error}"))
    }

    /// What the old system had at a path that was written: `None` when the path was not touched.
    pub fn original(&self, path: &str) -> Option<Option<String>> {
        let entry = self.files.iter().find(|entry| entry.path == path)?;
        Some(entry.backup.as_ref().map(|name| format!("{FOLDER}/{name}")))
    }
}
