//! What `apply` did, kept below the root so that `undo` can take it back: a manifest and the old files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{open_folder, write_at};
use crate::error::{Error, Result};
use crate::root::Root;

/// The folder below the root that holds the manifest and the old files.
pub const FOLDER: &str = "/var/lib/kerneld-migrate";
/// The manifest's file name in [`FOLDER`].
pub const MANIFEST: &str = "manifest.json";

/// Called before each step with its name: for tests that stop in the middle.
pub type Observer<'a> = dyn FnMut(&str) + 'a;

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
    ///
    /// # Errors
    /// When it cannot be read or understood, or others than root can have written it.
    pub(crate) fn read(root: &Root) -> Result<Option<Manifest>> {
        let path = format!("{FOLDER}/{MANIFEST}");
        let Some(content) = root.read_as_is(&path)? else { return Ok(None) };
        if let Some(why) = content.foreign {
            return Err(Error::Untrusted { path, why });
        }
        Manifest::parse(path, &content.bytes).map(Some)
    }

    fn parse(path: String, bytes: &[u8]) -> Result<Manifest> {
        serde_json::from_slice(bytes).map_err(|why| Error::Damaged { path, why: why.to_string() })
    }

    /// The paths that were written, and where the old file of each is kept.
    fn replaced(self) -> BTreeMap<String, Option<String>> {
        let kept = |name: String| format!("{FOLDER}/{name}");
        self.files.into_iter().map(|entry| (entry.path, entry.backup.map(kept))).collect()
    }
}

/// Opens a root so that reading looks through an earlier `apply` at the old system.
///
/// # Errors
/// When the root cannot be opened, or holds a manifest that cannot be used.
pub fn open_old_system(path: &Path) -> Result<Root> {
    let root = Root::open(path)?;
    Ok(match Manifest::read(&root)? {
        Some(manifest) => root.looking_through(manifest.replaced()),
        None => root,
    })
}

/// Writes the manifest, whole or not at all.
pub(super) fn write_manifest(root: &Root, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_vec_pretty(manifest).expect("strings and numbers are JSON");
    let write = || write_at(&open_folder(root, FOLDER)?, MANIFEST, &text, None);
    write().map_err(|why| Error::write(format!("{FOLDER}/{MANIFEST}"), why))
}
