//! Starts helpers, each in the way that it asks for, and sees to it that their ends are noticed.
#![forbid(unsafe_code)]

use super::clone::{self, Spawned};
use super::cpus::Cpus;
use super::modprobe::Inquiry;
use super::survivors::{Survivor, Survivors};
use super::watched::{self, Handle, Outcome, Watched, code};
use super::{Helper, Watch};
use log::warn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// Where helpers are started.
pub(crate) struct Helpers {
    cpus: Cpus,
    survivors: Survivors,
}

/// A helper that has been started.
pub(crate) enum Running {
    /// Its end is all that matters, and may be waited for by its pidfd.
    Plain(Spawned),
    /// It has a time limit, may be asked to quit, or is read from: somebody has to look after it.
    Watched(Watched),
    /// A daemon before us started it.
    Survivor(Box<(Survivor, Helper, Cpus)>),
}

impl Helpers {
    /// Helpers run on all of `cpus`.
    pub(crate) fn new(cpus: Cpus) -> Self {
        Helpers { cpus, survivors: Survivors::default() }
    }

    /// The CPUs of the daemon and of its helpers.
    pub(crate) fn cpus(&self) -> Cpus {
        self.cpus
    }

    /// Looks for helpers of these that a daemon before us has left running: each is waited for in place of
    /// the next that would be started.
    pub(crate) fn find_survivors(&self, helpers: &[Helper]) {
        self.survivors.find(helpers);
    }

    /// Starts a helper.
    ///
    /// # Errors
    /// The negative errno of one that cannot be executed, which is logged.
    pub(crate) fn start(&self, helper: &Helper) -> Result<Running, i32> {
        if let Some(survivor) = self.survivors.take(helper) {
            return Ok(Running::Survivor(Box::new((survivor, helper.clone(), self.cpus))));
        }
        let started = match helper.watch {
            Watch::Nothing => clone::spawn(helper, self.cpus).map(Running::Plain),
            Watch::Limit(_) | Watch::Output(_) => {
                self.cpus.while_spread(|| watched::spawn(helper)).map(Running::Watched)
            }
        };
        started.map_err(|errno| not_run(&helper.path, errno))
    }

    /// Asks modprobe which modules loading `name` takes; see [`Inquiry::start`].
    ///
    /// # Errors
    /// When modprobe cannot be run.
    pub(crate) fn inquire(&self, modprobe: &Path, name: &str) -> io::Result<Option<Inquiry>> {
        Inquiry::start(modprobe, name)
    }
}

impl Running {
    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Running::Plain(helper) => helper.pid(),
            Running::Watched(helper) => helper.pid(),
            Running::Survivor(survivor) => survivor.0.pid(),
        }
    }

    /// A handle on a helper that may be asked to quit.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self {
            Running::Plain(_) | Running::Survivor(..) => None,
            Running::Watched(helper) => helper.handle(),
        }
    }

    /// Waits for its end, unless it has come already. `path` is for the log.
    pub(crate) fn outcome(&mut self, path: &Path) -> Outcome {
        match self {
            Running::Plain(helper) => helper.status().unwrap_or_else(|errno| not_run(path, errno)).into(),
            Running::Watched(helper) => helper.wait(),
            Running::Survivor(survivor) => {
                end_of(survivor).unwrap_or_else(|errno| not_run(path, errno)).into()
            }
        }
    }
}

/// Waits for the end of a survivor. If its status cannot be had, it is run once more, which shows whether
/// anything is left to do.
fn end_of((survivor, helper, cpus): &(Survivor, Helper, Cpus)) -> Result<i32, i32> {
    match survivor.wait() {
        Some(status) => Ok(code(status.code(), status.signal())),
        None => clone::spawn(helper, *cpus)?.status(),
    }
}

/// The status of a helper that could not be executed.
fn not_run(helper: &Path, errno: i32) -> i32 {
    warn!("cannot run {}: {}", helper.display(), io::Error::from_raw_os_error(errno));
    -errno
}
