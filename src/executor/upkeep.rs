//! What goes along with loading and unloading: drivers' settings are saved and put back, what came in
//! through us is remembered, and swept when it is idle.

use super::{Executor, State};
use crate::executor::settings::Settings;
use crate::helper::modprobe::{self as kmod, Inquiry};
use crate::modules::arrivals::{self, Arrivals};
use crate::modules::autoclean::Swept;
use crate::modules::kernel::{Listing, unload};
use crate::order::name::ModuleName;
use crate::order::task::Task;
use log::{debug, info, warn};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A helper that loads or unloads, seen from before its start to after its answer.
pub(super) struct Upkeep {
    settings: Arc<Settings>,
    loading: Option<Loading>,
}

/// A module being loaded.
struct Loading {
    name: ModuleName,
    /// What was loaded before.
    before: Option<Listing>,
    /// Modules with settings to put back that were not loaded.
    absent: Vec<String>,
}

impl Upkeep {
    /// A client that gets its answer finds its driver's settings in place.
    pub(super) fn before_answer(&self, status: i32) {
        if let Some(loading) = self.loading.as_ref().filter(|_| status == 0) {
            complain(self.settings.drivers().restore_arrived(&loading.absent));
        }
    }

    /// What nobody needs to wait for. A load that failed may have brought dependencies in, too.
    pub(super) fn after_answer(self, executor: &Arc<Executor>) {
        let Some(Loading { name, before: Some(before), .. }) = self.loading else { return };
        match arrivals::since(&before, executor.ours.kernel()) {
            Ok(arrivals) if arrivals.is_empty() => {}
            Ok(arrivals) => {
                executor.aside(move |executor| executor.adopt(&name, &self.settings, arrivals));
            }
            Err(error) => warn!("autoclean will not know what {name} brought in: {error}"),
        }
    }
}

impl Executor {
    /// What has to be noted before the helper runs. On a kernel without modules there is nothing.
    pub(super) fn prepare(&self, task: &Task, settings: Arc<Settings>) -> Upkeep {
        let loading = match task {
            _ if settings.dry_run => None,
            Task::Load(name) => {
                self.let_sweep_end();
                let before = self.modular.then(|| self.ours.kernel().listing()).and_then(Result::ok);
                Some(Loading { name: name.clone(), before, absent: settings.drivers().absent() })
            }
            Task::Unload(name) => {
                complain(settings.drivers().save(name.as_str()));
                None
            }
            Task::Route(_) | Task::Blanker | Task::System(..) => None,
        };
        Upkeep { settings, loading }
    }

    /// A job to load keeps a sweep from beginning, so there can be only one to wait for.
    fn let_sweep_end(&self) {
        let mut state = self.lock();
        while state.sweeping {
            state = self.wait_until(state, None);
        }
    }

    /// Remembers what `name` brought in.
    fn adopt(&self, name: &ModuleName, settings: &Settings, mut arrivals: Arrivals) {
        let adopted = self.restrict(name, settings, &mut arrivals).and_then(|()| {
            debug!("came in through us: {:?}", arrivals.keys());
            self.ours.adopt(arrivals)
        });
        match adopted {
            Ok(()) => self.arm_sweep(&mut self.lock()),
            Err(error) => warn!("autoclean will not know what {name} brought in: {error}"),
        }
    }

    /// Leaves in `arrivals` what modprobe itself says `name` takes.
    fn restrict(
        &self,
        name: &ModuleName,
        settings: &Settings,
        arrivals: &mut Arrivals,
    ) -> Result<(), String> {
        let Ok(modprobe) = kmod::helper(settings.modprobe.as_deref()) else { return Ok(()) };
        let inquiry = { Inquiry::start(&modprobe, name.as_str()).map_err(|error| error.to_string())? };
        if let Some(inquiry) = inquiry {
            // Someone else loaded at the same moment what modprobe does not name.
            let named = inquiry.names()?;
            arrivals.retain(|name, _| named.contains(name));
        }
        Ok(())
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

    /// Whether it is time to sweep; not while a module is being loaded. Then [`Executor::sweep`] follows.
    pub(super) fn sweep_is_due(&self, state: &mut State, now: Instant) -> bool {
        if state.sweep.is_none_or(|due| due > now) {
            return false;
        }
        if state.sweeping || state.jobs.loading() {
            self.postpone_sweep(state);
            return false;
        }
        state.sweep = None;
        state.sweeping = !self.settings().dry_run;
        state.sweeping
    }

    pub(super) fn sweep(&self) {
        let settings = self.settings();
        let swept = self.ours.sweep(&mut |name| {
            complain(settings.drivers().save(name));
            unload(name)
        });
        match swept {
            Ok(Swept { gone, .. }) if gone.is_empty() => debug!("autoclean: nothing to unload"),
            Ok(Swept { gone, .. }) => info!("autoclean: unloaded {}", gone.join(", ")),
            Err(error) => warn!("autoclean: {error}"),
        }
        let mut state = self.lock();
        state.sweeping = false;
        self.arm_sweep(&mut state);
        self.changed.notify_all();
    }
}

fn complain(sentences: Vec<String>) {
    for sentence in sentences {
        warn!("{sentence}");
    }
}
