//! The configuration that modprobe is asked about, laid out in a directory of its own.

use std::path::Path;

use crate::error::{Error, Result};
use crate::plan::Plan;

/// The files of modprobe.d: as they are in the root when they were applied, else as they would be.
///
/// # Errors
/// When one cannot be read or written.
pub fn lay_out(plan: &Plan, directory: &Path) -> Result<()> {
    for file in plan.files.iter().filter(|file| file.path.starts_with("/etc/modprobe.d/")) {
        let content = if plan.root.is_applied() {
            plan.root.read_as_is(&file.path)?.map(|content| content.bytes)
        } else {
            Some(file.content())
        };
        let path = directory.join(file.path.rsplit('/').next().unwrap_or_default());
        if let Some(content) = content {
            std::fs::write(&path, content).map_err(|why| Error::write(path.display(), why))?;
        }
    }
    Ok(())
}
