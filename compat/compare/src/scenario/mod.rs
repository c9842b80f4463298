//! Scenarios: who asks what when, how helpers behave, in a text file (TOML) that a person can write.
//!
//! ```toml
//! about = "Two clients ask for one module: one helper, whose exit code both get"
//!
//! [[helper]]
//! text = "ppp"
//! time = 1
//! exit = 7
//!
//! [[step]]
//! ask = "a"                    # the client's name
//! command = "request_module"   # or a number
//! text = "ppp"
//!
//! [[step]]
//! at = 0.3                     # seconds since the start; without it: right after the step before
//! ask = "b"
//! command = "request_module"
//! text = "ppp"
//! layout = "ilp32-old"
//! ```
#![forbid(unsafe_code)]

mod reader;
mod script;
pub mod trace;

pub use reader::parse;
pub use script::{Expectation, FIRST_ID, Needs, Outgoing, Scenario, Side, Step, TimedStep};

use crate::error::Error;
use kerneld_protocol::wire::Layout;
use std::path::{Path, PathBuf};

/// Reads a scenario file, or every `*.toml` of a folder, sorted by name; messages are of that layout where
/// they name none.
///
/// # Errors
/// As [`parse`]; or when a file cannot be read, or the folder holds none.
pub fn load(path: &Path, layout: Layout) -> Result<Vec<Scenario>, Error> {
    let read = |file: &Path| {
        let text = std::fs::read_to_string(file).map_err(|why| Error::Read {
            what: "the scenario",
            path: file.to_owned(),
            why,
        })?;
        parse(&text, file, layout)
    };
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let entries = std::fs::read_dir(path).map_err(|why| Error::Read {
        what: "the folder",
        path: path.to_owned(),
        why,
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(Error::NoScenario(path.to_owned()));
    }
    files.iter().map(|file| read(file)).collect()
}
