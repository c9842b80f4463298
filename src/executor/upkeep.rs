//! What goes along with loading and unloading: drivers' settings are saved and put back, what came in
//! through us is remembered, and swept when it is idle.

use super::{Executor, PoisonError, State};
use crate::action::Task;
use crate::autoclean::Swept;
use crate::autoclean::arrivals::{Arrivals, Inquiry, Watch};
use crate::kmod;
use crate::modules;
use crate::policy::ModuleName;
use crate::settings::Settings;
use log::{debug, info, warn};
use std::sync::{Arc, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

/// A helper that loads or unloads, seen from before its start to after its answer.
pub(super) struct Upkeep<'a> {
    executor: &'a Executor,
    settings: Arc<Settings>,
    loading: Option<Loading<'a>>,
}

/// A module being loaded.
struct Loading<'a> {
    name: ModuleName,
    /// What was loaded before.
    watch: Option<Watch<'a>>,
    /// Modules with settings to put back that were not loaded.
    absent: Vec<String>,
    /// A sweep that began now could unload what the client is about to be told is loaded.
    _no_sweep: RwLockReadGuard<'a, ()>,
}

impl<'a> Upkeep<'a> {
    /// What has to be noted before the helper runs. On a kernel without modules there is nothing.
    pub(super) fn before(executor: &'a Executor, task: &Task, settings: Arc<Settings>) -> Self {
        let loading = match task {
            _ if settings.dry_run => None,
            Task::Load(name) => {
                let _no_sweep = executor.sweeping.read().unwrap_or_else(PoisonError::into_inner);
                let watch = Watch::start(executor.ours.kernel()).ok();
                Some(Loading { name: name.clone(), watch, absent: settings.drivers().absent(), _no_sweep })
            }
            Task::Unload(name) => {
                complain(settings.drivers().save(name.as_str()));
                None
            }
            Task::Route(_) | Task::Blanker | Task::System(..) => None,
        };
        Upkeep { executor, settings, loading }
    }

    /// A client that gets its answer finds its driver's settings in place.
    pub(super) fn before_answer(&self, status: i32) {
        if let Some(loading) = self.loading.as_ref().filter(|_| status == 0) {
            complain(self.settings.drivers().restore_arrived(&loading.absent));
        }
    }

    /// What nobody needs to wait for. A load that failed may have brought dependencies in, too.
    pub(super) fn after_answer(self) {
        let Some(Loading { name, watch: Some(watch), .. }) = &self.loading else { return };
        let mut arrivals = match watch.arrivals() {
            Ok(arrivals) if arrivals.is_empty() => return,
            Ok(arrivals) => arrivals,
            Err(error) => return warn!("autoclean will not know what {name} brought in: {error}"),
        };
        let adopted = self.executor.restrict(name, &self.settings, &mut arrivals).and_then(|()| {
            debug!("came in through us: {:?}", arrivals.keys());
            self.executor.ours.adopt(arrivals)
        });
        match adopted {
            Ok(()) => self.executor.arm_sweep(&mut self.executor.lock()),
            Err(error) => warn!("autoclean will not know what {name} brought in: {error}"),
        }
    }
}

impl Executor {
    /// Leaves in `arrivals` what modprobe itself says `name` takes.
    fn restrict(
        &self,
        name: &ModuleName,
        settings: &Settings,
        arrivals: &mut Arrivals,
    ) -> Result<(), String> {
        let Ok(modprobe) = kmod::helper(settings.modprobe.as_deref()) else { return Ok(()) };
        let inquiry = {
            let _shared = self.spawning.read().unwrap_or_else(PoisonError::into_inner);
            Inquiry::start(&modprobe, name.as_str()).map_err(|error| error.to_string())?
        };
        inquiry.map_or(Ok(()), |inquiry| inquiry.restrict(arrivals))
    }

    /// Sets the time of the next sweep, if one is wanted and none is set.
    pub(super) fn arm_sweep(&self, state: &mut State) {
        let wanted = state.switches.delay > 0 && !state.switches.keep && self.ours.is_empty() == Ok(false);
        if !wanted {
            state.sweep = None;
        } else if state.sweep.is_none() {
            state.sweep = Some(Instant::now() + Duration::from_secs(state.switches.delay.into()));
            self.changed.notify_all();
        }
    }

    /// Each request_module puts the sweep off by a whole delay.
    pub(super) fn postpone_sweep(&self, state: &mut State) {
        let delay = Duration::from_secs(state.switches.delay.into());
        state.sweep = state.sweep.map(|_| Instant::now() + delay);
    }

    /// Sweeps in a thread of its own when it is time; not while a module is being loaded.
    pub(super) fn sweep_if_due(self: &Arc<Self>, state: &mut State, now: Instant) {
        if state.sweep.is_none_or(|due| due > now) {
            return;
        }
        if state.jobs.loading() {
            return self.postpone_sweep(state);
        }
        state.sweep = None;
        if self.settings().dry_run {
            return;
        }
        let executor = Arc::clone(self);
        thread::spawn(move || executor.sweep());
    }

    fn sweep(&self) {
        let Ok(_no_load) = self.sweeping.try_write() else {
            debug!("autoclean: put off, a module is being loaded");
            return self.arm_sweep(&mut self.lock());
        };
        let settings = self.settings();
        let swept = self.ours.sweep(&mut |name| {
            complain(settings.drivers().save(name));
            modules::unload(name)
        });
        match swept {
            Ok(Swept { gone, .. }) if gone.is_empty() => debug!("autoclean: nothing to unload"),
            Ok(Swept { gone, .. }) => info!("autoclean: unloaded {}", gone.join(", ")),
            Err(error) => warn!("autoclean: {error}"),
        }
        self.arm_sweep(&mut self.lock());
    }
}

fn complain(sentences: Vec<String>) {
    for sentence in sentences {
        warn!("{sentence}");
    }
}
