//! `kerneld.toml`: what the command line does not say. Optional; every key has a default.
#![forbid(unsafe_code)]

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file that is read when `--config` names none; it may be missing.
pub const DEFAULT_PATH: &str = "/etc/kerneld.toml";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The helper to run in place of what `/proc/sys/kernel/modprobe` names.
    pub modprobe: Option<PathBuf>,
    /// Who may send requests.
    pub queue: QueueConfig,
    /// The process that reads them.
    pub intake: IntakeConfig,
}

/// `[queue]`: who may send requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct QueueConfig {
    /// Permission bits, as text in octal: `"0600"` lets root in, `"0660"` the group too, `"0666"` all.
    #[serde(deserialize_with = "octal")]
    pub mode: u16,
    /// The group for which the middle digit of `mode` speaks.
    pub group: Option<String>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig { mode: 0o600, group: None }
    }
}

/// `[intake]`: the process that reads requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IntakeConfig {
    /// The user that it becomes when kerneld is started by root: `kerneld` if there is such a user,
    /// else the nameless id 61183.
    pub user: Option<String>,
}

fn octal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let text = String::deserialize(deserializer)?;
    u16::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
        serde::de::Error::custom(format!("{text:?} is no mode: give octal digits in quotes, like \"0660\""))
    })
}

/// Reads a configuration.
///
/// # Errors
/// A sentence with file, line and what is wrong there.
pub fn parse(text: &str, file: &Path) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        format!("{}:{line}: {}", file.display(), error.message())
    })
}

/// Reads `named`, or [`DEFAULT_PATH`] if it is there.
///
/// # Errors
/// As [`parse`]; or when the file cannot be read.
pub fn load(named: Option<&Path>) -> Result<Config, String> {
    let file = named.unwrap_or(Path::new(DEFAULT_PATH));
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text, file),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Config::default())
        }
        Err(error) => Err(format!("cannot read the configuration {}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_file_and_line() {
        let error = parse("[queue]\nmodus = \"0660\"\n", Path::new("k.toml")).unwrap_err();
        assert!(error.starts_with("k.toml:2: ") && error.contains("modus"), "{error}");
        let error = parse("[queue]\n\nmode = \"rw\"\n", Path::new("k.toml")).unwrap_err();
        assert!(error.starts_with("k.toml:3: ") && error.contains("octal"), "{error}");
    }

    #[test]
    fn nothing_said_means_defaults() {
        assert_eq!(parse("", Path::new("k.toml")).unwrap().queue.mode, 0o600);
    }
}
