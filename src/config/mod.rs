//! `kerneld.toml`: what the command line does not say.
#![forbid(unsafe_code)]

mod conflicts;
mod diagnostics;
mod file;
pub(crate) mod rules;
mod value;

pub(crate) use diagnostics::{ConfigError, line_number};
pub use file::{AT_ONCE, BUSY_LIMIT};
pub(crate) use file::{Config, QueueConfig, SystemConfig};
pub(crate) use value::{Parameter, ParametersOf};

use kerneld_protocol::defaults::CONFIG_FILE;
use std::io::ErrorKind;
use std::path::Path;

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

/// Every mistake of a configuration, in the order of the file. What is mistaken is left out to read the rest, so one
/// mistake may hide another only in its own lines.
fn mistakes(text: &str, file: &Path) -> Vec<ConfigError> {
    /// Nobody reads more at once.
    const MOST: usize = 100;
    let mut rest = text.to_owned();
    let mut told = Vec::new();
    while let Err(error) = toml::from_str::<Config>(&rest) {
        told.push(diagnostics::mistake(&error, text, file));
        let left_out = error.span().is_some_and(|span| diagnostics::blank(&mut rest, span));
        if !left_out || told.len() == MOST {
            return told;
        }
    }
    if let Ok(Some(conflict)) = conflicts::find(&rest) {
        told.push(ConfigError::mistake(file, text, conflict.at, conflict.what));
    }
    told.sort_by_key(ConfigError::line);
    told
}

/// Looks through `named`, or `/etc/kerneld.toml`; the path of the file, if all is well.
///
/// # Errors
/// All mistakes; or why the file cannot be read, if it was named or exists.
pub(crate) fn check(named: Option<&Path>) -> Result<&Path, Vec<ConfigError>> {
    let file = named.unwrap_or(Path::new(CONFIG_FILE));
    let unreadable = |error| vec![ConfigError::Unreadable { file: file.to_owned(), error }];
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let told = mistakes(&text, file);
    if told.is_empty() { Ok(file) } else { Err(told) }
}

/// Reads `named`, or `/etc/kerneld.toml` if that exists.
///
/// # Errors
/// As [`parse`]; or when the file cannot be read.
pub(crate) fn load(named: Option<&Path>) -> Result<Config, ConfigError> {
    let file = named.unwrap_or(Path::new(CONFIG_FILE));
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text, file),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(ConfigError::Unreadable { file: file.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests;
