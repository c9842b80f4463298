//! Where a recorder is, and the files beside it.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The file name under which a program records.
pub const NAME: &str = "kerneld-recorder";

/// The file of rules, in the recorder's folder.
pub const PLAN: &str = "plan.json";

/// The file beside the recorder that a helper with the word `wait` waits for.
pub const GO: &str = "go";

/// The argument by which the recorder knows that it is a script's interpreter.
pub(crate) const SCRIPT: &str = "--script";

/// Puts a recorder into `dir`: a link to `program`, which must call [`crate::asked_for`]. Returns its path.
///
/// # Errors
/// When the link cannot be made.
pub fn install(dir: &Path, program: &Path) -> io::Result<PathBuf> {
    let path = dir.join(NAME);
    symlink(program, &path)?;
    Ok(path)
}

/// The text of an executable file that is run by the recorder installed in `dir`, and recorded under the
/// file's own name.
pub fn script(dir: &Path) -> String {
    format!("#!{} {SCRIPT}\n", dir.join(NAME).display())
}
