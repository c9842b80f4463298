//! Where the journal is.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The file that is written, below `dir`.
pub fn current(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// The file that was written before that one.
pub fn previous(dir: &Path) -> PathBuf {
    dir.join("journal.1")
}
