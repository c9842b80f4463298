//! What is in force: the command line and the configuration, resolved for use.
#![forbid(unsafe_code)]

use crate::config::rules::Rules;
use crate::config::{Config, SystemConfig};
use crate::modules::care::CareSettings;
use crate::modules::parameters::SavedParameters;
use kerneld_persist::Store;
use kerneld_protocol::wire::ByteOrder;
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the command line says of helpers, which stays when the configuration is read again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `--modprobe`.
    pub(crate) modprobe: Option<PathBuf>,
    /// `--dry-run`.
    pub(crate) dry_run: bool,
}

/// How requests are carried out.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The modprobe to run, and what else goes along with loading and unloading.
    pub(crate) modules: Arc<CareSettings>,
    /// Helpers at once.
    pub(crate) at_once: usize,
    /// How long a request past that waits for a place.
    pub(crate) busy_limit: Duration,
    /// Which modules may be loaded and unloaded.
    pub(crate) rules: Rules,
    /// The helper for request_route, if it was executable when this was resolved.
    pub(crate) route_helper: Option<PathBuf>,
    /// How long it may take.
    pub(crate) route_limit: Duration,
    /// The screen blanker.
    pub(crate) blanker: PathBuf,
    /// The commands that KERNELD_SYSTEM may name.
    pub(crate) system: Vec<SystemCommand>,
    /// What get_persist and set_persist are about.
    pub(crate) store: Store,
    /// The byte order of all senders, if they have one.
    pub(crate) byte_order: Option<ByteOrder>,
}

/// A command that KERNELD_SYSTEM may name.
#[derive(Clone, Debug)]
pub(crate) struct SystemCommand {
    /// The request's text, to the letter.
    pub(crate) text: String,
    /// The program that it stands for.
    pub(crate) path: PathBuf,
    /// Its arguments after `argv[0]`.
    pub(crate) args: Vec<String>,
    /// How long it may take.
    pub(crate) limit: Duration,
}

impl Settings {
    /// What follows from a configuration and the command line now: the route helper counts if it can be
    /// executed at this moment, as kerneld looked for it at start and at SIGHUP.
    pub(crate) fn resolve(config: &Config, overrides: &Overrides) -> Self {
        let route = &config.route;
        Settings {
            modules: Arc::new(CareSettings {
                parameters: SavedParameters {
                    listed: config.persist.settings.clone(),
                    file: config.persist.file.with_file_name("drivers.toml"),
                    sysroot: PathBuf::from("/"),
                },
                modprobe: overrides.modprobe.clone().or_else(|| config.modprobe.clone()),
                dry_run: overrides.dry_run,
            }),
            byte_order: config.queue.byte_order,
            at_once: config.helpers.at_once,
            busy_limit: config.helpers.busy_limit,
            rules: config.modules.clone(),
            route_helper: executable(&route.helper).then(|| route.helper.clone()),
            route_limit: route.time_limit,
            blanker: config.blanker.helper.clone(),
            system: config.system.iter().filter_map(system_command).collect(),
            store: Store::new(&config.persist.file),
        }
    }

    /// The command that stands for a KERNELD_SYSTEM text.
    pub(crate) fn system_command(&self, text: &str) -> Option<&SystemCommand> {
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
