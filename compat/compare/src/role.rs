//! The parts that this program plays under other names, in processes of their own.
#![forbid(unsafe_code)]

use crate::subject::old;
use std::path::Path;
use std::process::ExitCode;

/// Plays the part that argv\[0\] names, if it names one.
pub fn played() -> Option<ExitCode> {
    if let Some(dir) = kerneld_recorder::asked_for() {
        return Some(ExitCode::from(kerneld_recorder::run(&dir)));
    }
    let name = std::env::args_os().next()?;
    match Path::new(&name).file_name()?.to_str()? {
        old::KEEPER => Some(old::keeper()),
        old::STARTER => Some(old::starter()),
        _ => None,
    }
}
