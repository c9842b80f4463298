//! What is in force: the command line and the configuration, resolved for use.
#![forbid(unsafe_code)]

use crate::config::rules::Rules;
use crate::config::{Config, SettingsOf, SystemConfig};
use crate::modules::parameters::Drivers;
use crate::order::judge::PersistNumbers;
use crate::order::name::ModuleName;
use kerneld_persist::Store;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the command line says of helpers, which outlasts a reread of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--modprobe`.
    pub modprobe: Option<PathBuf>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// How requests are carried out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The helper to run; `None` for what `/proc/sys/kernel/modprobe` names at each request.
    pub modprobe: Option<PathBuf>,
    /// Log what would run and answer 0.
    pub dry_run: bool,
    /// Helpers at once.
    pub at_once: usize,
    /// How long a request past that waits for a place.
    pub busy_limit: Duration,
    /// Which modules may be loaded and unloaded.
    pub rules: Rules,
    /// The helper for request_route, if it was executable when this was resolved.
    pub route_helper: Option<PathBuf>,
    /// How long it may take.
    pub route_limit: Duration,
    /// The screen blanker.
    pub blanker: PathBuf,
    /// The commands that KERNELD_SYSTEM may name.
    pub system: Vec<SystemCommand>,
    /// The types of get_persist and set_persist.
    pub persist: PersistNumbers,
    /// What they are about.
    pub store: Store,
    /// Which settings of which modules outlive them.
    pub drivers: BTreeMap<ModuleName, SettingsOf>,
    /// Where those are kept.
    pub drivers_file: PathBuf,
}

/// A command that KERNELD_SYSTEM may name.
#[derive(Clone, Debug)]
pub struct SystemCommand {
    /// The request's text, to the letter.
    pub text: String,
    /// The program that it stands for.
    pub path: PathBuf,
    /// Its arguments after argv[0].
    pub args: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

impl Settings {
    /// What a configuration and the command line come to now: the route helper counts if it can be
    /// executed at this moment, as kerneld looked for it at start and at SIGHUP.
    pub fn resolve(config: &Config, overrides: &Overrides) -> Self {
        let route = &config.route;
        Settings {
            modprobe: overrides.modprobe.clone().or_else(|| config.modprobe.clone()),
            dry_run: overrides.dry_run,
            at_once: config.helpers.at_once,
            busy_limit: config.helpers.busy_limit,
            rules: config.modules.clone(),
            route_helper: executable(&route.helper).then(|| route.helper.clone()),
            route_limit: route.time_limit,
            blanker: config.blanker.helper.clone(),
            system: config.system.iter().filter_map(system_command).collect(),
            persist: PersistNumbers {
                get: config.persist.get_number.into(),
                set: config.persist.set_number.into(),
            },
            store: Store::new(&config.persist.file),
            drivers: config.persist.settings.clone(),
            drivers_file: config.persist.file.with_file_name("drivers.toml"),
        }
    }

    /// What is done about drivers' settings.
    pub fn drivers(&self) -> Drivers<'_> {
        Drivers { settings: &self.drivers, file: &self.drivers_file, sysroot: Path::new("/") }
    }

    /// The command that stands for a KERNELD_SYSTEM text.
    pub fn system_command(&self, text: &str) -> Option<&SystemCommand> {
        self.system.iter().find(|command| command.text == text)
    }
}

fn executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

fn system_command(config: &SystemConfig) -> Option<SystemCommand> {
    let (path, args) = config.argv.split_first()?;
    Some(SystemCommand {
        text: config.text.clone(),
        path: path.into(),
        args: args.to_vec(),
        limit: config.time_limit,
    })
}
