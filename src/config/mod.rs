//! `kerneld.toml`: what the command line does not say. Optional; every key has a default.
#![forbid(unsafe_code)]

mod conflicts;
mod diagnostics;
pub mod rules;
mod value;

use crate::config::rules::Rules;
use crate::order::name::ModuleName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use value::{Setting, SettingsOf};
use value::{absolute, argv, octal, persist_number, request_text, seconds, within};

/// The file that is read when `--config` names none; it may be missing.
pub const DEFAULT_PATH: &str = "/etc/kerneld.toml";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The helper to run in place of what `/proc/sys/kernel/modprobe` names; an absolute path.
    #[serde(deserialize_with = "value::some_absolute")]
    pub modprobe: Option<PathBuf>,
    /// Who may send requests.
    pub queue: QueueConfig,
    /// The process that reads them.
    pub intake: IntakeConfig,
    /// How many helpers run.
    pub helpers: HelpersConfig,
    /// Which modules requests may name.
    pub modules: Rules,
    /// What serves `request_route`.
    pub route: RouteConfig,
    /// What serves `screenblanker`.
    pub blanker: BlankerConfig,
    /// The texts that `system` may carry; none by default, which refuses every one.
    pub system: Vec<SystemConfig>,
    /// Persistent settings.
    pub persist: PersistConfig,
    /// The record of requests.
    pub journal: JournalConfig,
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

/// `[helpers]`: how many run. The defaults are kmod's (`kernel/module/kmod.c`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HelpersConfig {
    /// Helpers that may run at once, 1 to 1000.
    #[serde(deserialize_with = "within::<_, _, 1, 1000>")]
    pub at_once: usize,
    /// How long a request waits for a place when all are taken, 0 to 3600 seconds; 0 fails at once,
    /// as Linux 2.4 did.
    #[serde(deserialize_with = "seconds::<_, 0, 3600>")]
    pub busy_limit: Duration,
}

impl Default for HelpersConfig {
    fn default() -> Self {
        HelpersConfig {
            at_once: crate::executor::jobs::AT_ONCE,
            busy_limit: crate::executor::jobs::BUSY_LIMIT,
        }
    }
}

/// `[route]`: what serves `request_route`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RouteConfig {
    /// The program that is run with the address as its one argument; an absolute path. If it cannot
    /// be executed, route requests are answered 0 at once.
    #[serde(deserialize_with = "absolute")]
    pub helper: PathBuf,
    /// After how long it is ended, 1 to 3600 seconds.
    #[serde(deserialize_with = "seconds::<_, 1, 3600>")]
    pub time_limit: Duration,
}

impl Default for RouteConfig {
    fn default() -> Self {
        RouteConfig { helper: PathBuf::from("/sbin/request-route"), time_limit: Duration::from_secs(60) }
    }
}

/// `[blanker]`: what serves `screenblanker`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BlankerConfig {
    /// The program that `on` runs and `off` ends; an absolute path.
    #[serde(deserialize_with = "absolute")]
    pub helper: PathBuf,
}

impl Default for BlankerConfig {
    fn default() -> Self {
        BlankerConfig { helper: PathBuf::from("/sbin/screenblanker") }
    }
}

/// `[[system]]`: one text that a `system` request may carry, and what is run for it. No shell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SystemConfig {
    /// The request's whole text, 1 to 1012 bytes; each may be listed once.
    #[serde(deserialize_with = "request_text")]
    pub text: String,
    /// The program, an absolute path, and its arguments, as they are.
    #[serde(deserialize_with = "argv")]
    pub argv: Vec<String>,
    /// After how long it is ended, 1 to 3600 seconds.
    #[serde(default = "ten_seconds", deserialize_with = "seconds::<_, 1, 3600>")]
    pub time_limit: Duration,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// `[persist]`: settings that outlive a module. The numbers are a choice: those of the historical
/// patch are not known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PersistConfig {
    /// The GDBM file that keeps the pairs; an absolute path.
    #[serde(deserialize_with = "absolute")]
    pub file: PathBuf,
    /// The message type of `get_persist`, 1 to 254 and none of kerneld's own.
    #[serde(deserialize_with = "persist_number")]
    pub get_number: u8,
    /// The message type of `set_persist`, likewise, and another.
    #[serde(deserialize_with = "persist_number")]
    pub set_number: u8,
    /// Which settings of which module are saved when it is unloaded and put back when it is loaded.
    pub settings: BTreeMap<ModuleName, SettingsOf>,
}

impl Default for PersistConfig {
    fn default() -> Self {
        PersistConfig {
            file: PathBuf::from("/var/lib/kerneld/persist.gdbm"),
            get_number: 9,
            set_number: 10,
            settings: BTreeMap::new(),
        }
    }
}

/// `[journal]`: the record of requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct JournalConfig {
    /// Bytes that it may take, 65536 to 1073741824.
    #[serde(deserialize_with = "within::<_, _, 65_536, 1_073_741_824>")]
    pub size: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig { size: kerneld_journal::DEFAULT_LIMIT }
    }
}

/// Reads a configuration.
///
/// # Errors
/// A sentence with file, line, what is wrong there, and for a word that is not known the nearest
/// that is.
pub fn parse(text: &str, file: &Path) -> Result<Config, String> {
    let told = |error| diagnostics::tell(&error, text, file);
    let config = toml::from_str(text).map_err(told)?;
    match conflicts::find(text).map_err(told)? {
        Some(clash) => Err(diagnostics::sentence(file, text, clash.at, &clash.what)),
        None => Ok(config),
    }
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
mod tests;
