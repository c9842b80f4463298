//! What accompanies loading and unloading: saved parameters are kept and put back, what came in
//! through us is remembered, and unloaded again once it is idle.
#![forbid(unsafe_code)]

use super::arrivals::{self, Arrivals};
use super::autoclean::Swept;
use super::kernel::{Listing, unload};
use super::parameters::SavedParameters;
use super::store::Store;
use crate::helper::modprobe;
use crate::helper::running::Helpers;
use crate::order::name::ModuleName;
use crate::order::task::Task;
use log::{debug, info, warn};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How modules are taken care of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CareSettings {
    /// Which parameters outlive their module.
    pub(crate) parameters: SavedParameters,
    /// The modprobe that the admin chose; `None` for the kernel's.
    pub(crate) modprobe: Option<PathBuf>,
    /// Nothing is loaded, unloaded or written.
    pub(crate) dry_run: bool,
}

/// Takes care of modules. Shared by threads; nothing is read or waited for while its state is locked,
/// except that a load waits for a running sweep to end.
pub(crate) struct ModuleCare {
    store: Store,
    helpers: Arc<Helpers>,
    /// Whether this kernel has modules, and can unload them.
    modular: bool,
    sweeps: Mutex<Sweeps>,
    sweep_ended: Condvar,
}

#[derive(Debug, Default)]
struct Sweeps {
    /// Whether something came in through us and may be there still.
    any: bool,
    /// When the next sweep is; `None` while there is nothing to sweep, or no sweep is wanted.
    due: Option<Instant>,
    /// No load begins meanwhile: it could be told that a module is there which is just being unloaded.
    running: bool,
    /// Loads that have begun and whose arrivals are not known yet: no sweep begins meanwhile.
    loads: usize,
}

impl ModuleCare {
    /// Takes care of what `store` remembers, with a sweep each `interval` if there is one.
    pub(crate) fn new(store: Store, helpers: Arc<Helpers>, interval: Option<Duration>) -> Self {
        let modular = store.kernel().loaded().is_ok();
        if !modular {
            info!("autoclean is off: this kernel has no modules, or cannot unload them");
        }
        let any = store.is_empty() == Ok(false);
        let sweeps = Mutex::new(Sweeps { any, ..Sweeps::default() });
        let care = ModuleCare { store, helpers, modular, sweeps, sweep_ended: Condvar::new() };
        care.plan_sweep(interval);
        care
    }

    /// What has to be done before the helper of `task` runs, and the hold on what has to be done after.
    /// Waits for a sweep to end before a load.
    pub(crate) fn begin(self: &Arc<Self>, task: &Task, settings: &Arc<CareSettings>) -> CareOfRun {
        let load = match task {
            _ if settings.dry_run => None,
            Task::Load(name) => Some(self.begin_load(name, settings)),
            Task::Unload(name) => {
                complain(settings.parameters.save(name.as_str()));
                None
            }
            Task::Route(_) | Task::Blanker | Task::System(..) => None,
        };
        CareOfRun(load)
    }

    fn begin_load(self: &Arc<Self>, name: &ModuleName, settings: &Arc<CareSettings>) -> Load {
        let turn = LoadTurn::wait(self);
        let before = self.modular.then(|| self.store.kernel().listing()).and_then(Result::ok);
        let absent = settings.parameters.absent();
        Load { turn, settings: Arc::clone(settings), name: name.clone(), before, absent }
    }

    /// Sets the time of the next sweep, if one is wanted and none is set; the time that is set then.
    pub(crate) fn plan_sweep(&self, interval: Option<Duration>) -> Option<Instant> {
        let mut sweeps = self.lock();
        let wanted = interval.filter(|_| sweeps.any);
        sweeps.due = wanted.map(|interval| sweeps.due.unwrap_or_else(|| Instant::now() + interval));
        sweeps.due
    }

    /// Puts the next sweep off by a whole interval, as each request_module does.
    pub(crate) fn postpone_sweep(&self, interval: Option<Duration>) {
        let mut sweeps = self.lock();
        sweeps.due = sweeps.due.and(interval).map(|interval| Instant::now() + interval);
    }

    /// When the next sweep is.
    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        self.lock().due
    }

    /// Whether a sweep runs, for which a load would have to wait.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.lock().running
    }

    /// The sweep that is due, if one is; it is put off while a module is being loaded.
    pub(crate) fn due_sweep(
        self: &Arc<Self>,
        now: Instant,
        interval: Option<Duration>,
        settings: &Arc<CareSettings>,
    ) -> Option<Sweep> {
        let mut sweeps = self.lock();
        sweeps.due.filter(|due| *due <= now)?;
        if sweeps.running || sweeps.loads > 0 {
            sweeps.due = interval.map(|interval| now + interval);
            return None;
        }
        sweeps.due = None;
        sweeps.running = !settings.dry_run;
        // Set again by what the sweep leaves, and by what comes in meanwhile.
        sweeps.any &= settings.dry_run;
        sweeps.running.then(|| Sweep { care: Arc::clone(self), settings: Arc::clone(settings) })
    }

    fn lock(&self) -> MutexGuard<'_, Sweeps> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sweep that has begun; it ends as this is dropped.
pub(crate) struct Sweep {
    care: Arc<ModuleCare>,
    settings: Arc<CareSettings>,
}

impl Sweep {
    /// Unloads what is idle. The next sweep is still to be planned.
    pub(crate) fn carry_out(self) {
        let swept = self.care.store.sweep(&mut |name| {
            complain(self.settings.parameters.save(name));
            unload(name)
        });
        match swept {
            Ok(swept) => {
                self.care.lock().any |= !swept.idle.is_empty() || !swept.kept.is_empty();
                tell(&swept);
            }
            Err(error) => {
                self.care.lock().any = true;
                warn!("autoclean: {error}");
            }
        }
    }
}

fn tell(swept: &Swept) {
    match &swept.gone[..] {
        [] => debug!("autoclean: nothing to unload"),
        gone => info!("autoclean: unloaded {}", gone.join(", ")),
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.care.lock().running = false;
        self.care.sweep_ended.notify_all();
    }
}

/// The care for a helper that runs, from before its start to after its answer.
pub(crate) struct CareOfRun(Option<Load>);

/// A module being loaded.
struct Load {
    turn: LoadTurn,
    settings: Arc<CareSettings>,
    name: ModuleName,
    /// What was loaded before.
    before: Option<Listing>,
    /// Modules with saved parameters that were not loaded.
    absent: Vec<String>,
}

impl CareOfRun {
    /// To be called before the answer: a client that gets one finds its module's parameters in place.
    pub(crate) fn before_answer(&self, status: i32) {
        if let Some(load) = self.0.as_ref().filter(|_| status == 0) {
            complain(load.settings.parameters.restore_arrived(&load.absent));
        }
    }

    /// To be called after the answer; what came in and is to be remembered, which may take long. A load
    /// that failed may have brought dependencies in, too.
    pub(crate) fn after_answer(self) -> Option<Adoption> {
        let Load { turn, settings, name, before, .. } = self.0?;
        match arrivals::since(&before?, turn.0.store.kernel()) {
            Ok(arrivals) if arrivals.is_empty() => None,
            Ok(arrivals) => Some(Adoption { care: Arc::clone(&turn.0), settings, name, arrivals }),
            Err(error) => {
                warn!("autoclean will not know what {name} brought in: {error}");
                None
            }
        }
    }
}

/// The right to load, which lasts until this is dropped.
struct LoadTurn(Arc<ModuleCare>);

impl LoadTurn {
    /// Waits for a sweep to end. Loads keep another one from beginning, so it has to wait for one at most.
    fn wait(care: &Arc<ModuleCare>) -> Self {
        let mut sweeps = care.lock();
        sweeps.loads += 1;
        while sweeps.running {
            sweeps = care.sweep_ended.wait(sweeps).unwrap_or_else(PoisonError::into_inner);
        }
        LoadTurn(Arc::clone(care))
    }
}

impl Drop for LoadTurn {
    fn drop(&mut self) {
        self.0.lock().loads -= 1;
    }
}

/// Modules that arrived while a helper loaded `name`.
pub(crate) struct Adoption {
    care: Arc<ModuleCare>,
    settings: Arc<CareSettings>,
    name: ModuleName,
    arrivals: Arrivals,
}

impl Adoption {
    /// Remembers what `name` brought in. The next sweep is still to be planned.
    pub(crate) fn carry_out(mut self) {
        let adopted = self.keep_what_modprobe_names().and_then(|()| {
            debug!("modules that came in through us: {:?}", self.arrivals.keys());
            self.care.store.adopt(self.arrivals)
        });
        match adopted {
            Ok(()) => self.care.lock().any = true,
            Err(error) => warn!("autoclean will not know what {} brought in: {error}", self.name),
        }
    }

    /// Drops what somebody else loaded at the same moment, as far as the helper is a modprobe that can be
    /// asked.
    fn keep_what_modprobe_names(&mut self) -> Result<(), String> {
        let Ok(modprobe) = modprobe::helper(self.settings.modprobe.as_deref()) else { return Ok(()) };
        let inquiry = self.care.helpers.inquire(&modprobe, self.name.as_str());
        if let Some(inquiry) = inquiry.map_err(|error| error.to_string())? {
            let named = inquiry.names()?;
            self.arrivals.retain(|name, _| named.contains(name));
        }
        Ok(())
    }
}

fn complain(sentences: Vec<String>) {
    for sentence in sentences {
        warn!("{sentence}");
    }
}
