//! The configuration that modprobe is asked about, laid out in a directory of its own.

use std::path::Path;

use crate::error::{Error, Result};
use crate::new::modprobe_d::{EARLY, LATE};
use crate::plan::Plan;

/// All of the target's modprobe.d with our files in it: as they are in the root when they were applied, else as they
/// would be. kmod reads one directory as it reads several: in the order of the files' names.
///
/// # Errors
/// When one cannot be read or written.
pub fn lay_out(plan: &Plan, directory: &Path) -> Result<()> {
    let write = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, content).map_err(|why| Error::write(path.display(), why))
    };
    for file in &plan.site.files {
        write(&file.name, &file.bytes)?;
    }
    for path in [EARLY, LATE] {
        let planned = plan.files.iter().find(|file| file.path == path);
        let content = match plan.root.is_applied() {
            true => plan.root.read_as_is(path)?.map(|content| content.bytes),
            false => planned.map(|file| file.content()),
        };
        if let Some(content) = content {
            write(path.rsplit('/').next().unwrap_or(path), &content)?;
        }
    }
    Ok(())
}
