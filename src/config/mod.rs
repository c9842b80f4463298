//! `kerneld.toml`: what the command line does not say.
#![forbid(unsafe_code)]

mod conflicts;
mod diagnostics;
mod file;
pub(crate) mod rules;
mod value;

pub(crate) use diagnostics::ConfigError;
pub use file::{AT_ONCE, BUSY_LIMIT};
pub(crate) use file::{Config, QueueConfig, SystemConfig};
pub(crate) use value::{Parameter, ParametersOf};

use std::io::ErrorKind;
use std::path::Path;

/// The file that is read when `--config` names none; it may be missing.
const DEFAULT_PATH: &str = "/etc/kerneld.toml";

/// Reads a configuration; `file` is for messages.
///
/// # Errors
/// The first mistake, with the line that it is in.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let told = |error| diagnostics::mistake(&error, text, file);
    let config = toml::from_str(text).map_err(told)?;
    match conflicts::find(text).map_err(told)? {
        Some(conflict) => Err(ConfigError::mistake(file, text, conflict.at, conflict.what)),
        None => Ok(config),
    }
}

/// Reads `named`, or `/etc/kerneld.toml` if that exists.
///
/// # Errors
/// As [`parse`]; or when the file cannot be read.
pub(crate) fn load(named: Option<&Path>) -> Result<Config, ConfigError> {
    let file = named.unwrap_or(Path::new(DEFAULT_PATH));
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text, file),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(ConfigError::Unreadable { file: file.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests;
