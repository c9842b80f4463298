//! The keys of `kerneld.toml`. Every one is optional and has a default.
#![forbid(unsafe_code)]

use super::rules::Rules;
use super::value::{
    self, ParametersOf, absolute, argv, octal, persist_number, request_text, seconds, within,
};
use crate::order::name::ModuleName;
use kerneld_protocol::wire::ByteOrder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    /// The helper to run in place of what `/proc/sys/kernel/modprobe` names; an absolute path.
    #[serde(deserialize_with = "value::some_absolute")]
    pub(crate) modprobe: Option<PathBuf>,
    /// Who may send requests, and how they are read.
    pub(crate) queue: QueueConfig,
    /// The process that reads them.
    pub(crate) intake: IntakeConfig,
    /// How many helpers run.
    pub(crate) helpers: HelpersConfig,
    /// Which modules requests may name.
    pub(crate) modules: Rules,
    /// What serves `request_route`.
    pub(crate) route: RouteConfig,
    /// What serves `screenblanker`.
    pub(crate) blanker: BlankerConfig,
    /// The texts that `system` may carry; none by default, which refuses every one.
    pub(crate) system: Vec<SystemConfig>,
    /// Persistent values.
    pub(crate) persist: PersistConfig,
    /// The record of requests.
    pub(crate) journal: JournalConfig,
}

impl Config {
    /// A sentence for the log, if others than root may send requests and no list of names bounds what they
    /// can ask for: a message on the queue carries no credentials.
    pub(crate) fn warning(&self) -> Option<String> {
        const GROUP_MAY_WRITE: u16 = 0o020;
        const ALL_MAY_WRITE: u16 = 0o002;
        let (mode, group) = (self.queue.mode, self.queue.group.as_deref().unwrap_or("kerneld's own"));
        let who = match () {
            () if mode & ALL_MAY_WRITE != 0 => "every user".to_owned(),
            () if mode & GROUP_MAY_WRITE != 0 => format!("every member of the group {group}"),
            () => return None,
        };
        self.modules.allow_every_name().then(|| {
            format!(
                "[queue] mode = \"{mode:04o}\" lets {who} have any module loaded and unloaded: list the names \
                 that may be asked for under [modules] allow"
            )
        })
    }
}

/// `[queue]`: who may send requests, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct QueueConfig {
    /// Permission bits, as text in octal: `"0600"` lets root in, `"0660"` the group too, `"0666"` all.
    #[serde(deserialize_with = "octal")]
    pub(crate) mode: u16,
    /// The group to which the middle digit of `mode` applies.
    pub(crate) group: Option<String>,
    /// The byte order of all senders: `"little"` or `"big"`. It counts only where a request's bytes leave it open.
    pub(crate) byte_order: Option<ByteOrder>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig { mode: 0o600, group: None, byte_order: None }
    }
}

/// `[intake]`: the process that reads requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct IntakeConfig {
    /// The user that it becomes when kerneld is started by root: `kerneld` if there is such a user,
    /// else the nameless id 61183.
    pub(crate) user: Option<String>,
}

/// Helpers at once (`MAX_KMOD_CONCURRENT`, `kernel/module/kmod.c`).
pub const AT_ONCE: usize = 50;

/// How long a request past that may wait (`MAX_KMOD_ALL_BUSY_TIMEOUT`, same file).
pub const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// `[helpers]`: how many run. The defaults are kmod's (`kernel/module/kmod.c`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct HelpersConfig {
    /// Helpers that may run at once, 1 to 1000.
    #[serde(deserialize_with = "within::<_, _, 1, 1000>")]
    pub(crate) at_once: usize,
    /// How long a request waits for a place when all are taken, 0 to 3600 seconds; 0 fails at once,
    /// as Linux 2.4 did.
    #[serde(deserialize_with = "seconds::<_, 0, 3600>")]
    pub(crate) busy_limit: Duration,
}

impl Default for HelpersConfig {
    fn default() -> Self {
        HelpersConfig { at_once: AT_ONCE, busy_limit: BUSY_LIMIT }
    }
}

/// `[route]`: what serves `request_route`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RouteConfig {
    /// The program that is run with the address as its one argument; an absolute path. If it cannot
    /// be executed, route requests are answered 0 at once.
    #[serde(deserialize_with = "absolute")]
    pub(crate) helper: PathBuf,
    /// After how long it is ended, 1 to 3600 seconds.
    #[serde(deserialize_with = "seconds::<_, 1, 3600>")]
    pub(crate) time_limit: Duration,
}

impl Default for RouteConfig {
    fn default() -> Self {
        RouteConfig { helper: PathBuf::from("/sbin/request-route"), time_limit: Duration::from_secs(60) }
    }
}

/// `[blanker]`: what serves `screenblanker`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct BlankerConfig {
    /// The program that `on` runs and `off` ends; an absolute path.
    #[serde(deserialize_with = "absolute")]
    pub(crate) helper: PathBuf,
}

impl Default for BlankerConfig {
    fn default() -> Self {
        BlankerConfig { helper: PathBuf::from("/sbin/screenblanker") }
    }
}

/// `[[system]]`: one text that a `system` request may carry, and what is run for it. No shell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SystemConfig {
    /// The request's whole text, 1 to 1012 bytes; each may be listed once.
    #[serde(deserialize_with = "request_text")]
    pub(crate) text: String,
    /// The program, an absolute path, and its arguments, as they are.
    #[serde(deserialize_with = "argv")]
    pub(crate) argv: Vec<String>,
    /// After how long it is ended, 1 to 3600 seconds.
    #[serde(default = "ten_seconds", deserialize_with = "seconds::<_, 1, 3600>")]
    pub(crate) time_limit: Duration,
}

pub(crate) fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// `[persist]`: values that outlive a module. The numbers are a choice: those of the historical patch are
/// not known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct PersistConfig {
    /// The GDBM file that keeps the pairs; an absolute path.
    #[serde(deserialize_with = "absolute")]
    pub(crate) file: PathBuf,
    /// The message type of `get_persist`, 1 to 254 and not one of kerneld's own.
    #[serde(deserialize_with = "persist_number")]
    pub(crate) get_number: u8,
    /// The message type of `set_persist`, likewise, and a different one.
    #[serde(deserialize_with = "persist_number")]
    pub(crate) set_number: u8,
    /// Which parameters of which module are saved when it is unloaded and put back when it is loaded.
    pub(crate) settings: BTreeMap<ModuleName, ParametersOf>,
}

impl Default for PersistConfig {
    fn default() -> Self {
        PersistConfig {
            file: PathBuf::from(kerneld_persist::DEFAULT_FILE),
            get_number: 9,
            set_number: 10,
            settings: BTreeMap::new(),
        }
    }
}

/// `[journal]`: the record of requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct JournalConfig {
    /// Bytes that it may take, 65536 to 1073741824.
    #[serde(deserialize_with = "within::<_, _, 65_536, 1_073_741_824>")]
    pub(crate) size: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig { size: kerneld_journal::DEFAULT_LIMIT }
    }
}
