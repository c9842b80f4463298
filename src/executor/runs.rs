//! Runs helpers, each in the worker that took the order.

use super::upkeep::Upkeep;
use super::{Executor, PoisonError};
use crate::action::{Helper, Task, Watch, modprobe_args};
use crate::helper::{self, Outcome, Running};
use crate::jobs::{Job, JobId};
use crate::kmod;
use crate::policy::{ModuleName, Refusal};
use crate::settings::Settings;
use log::{debug, info, warn};
use std::time::Instant;

impl Executor {
    /// Runs a job and then those that waited for its place.
    pub(super) fn run(&self, first: JobId) {
        let mut next = Some(first);
        while let Some(id) = next {
            let Some(job) = self.lock().jobs.get(id).cloned() else { return };
            let settings = self.settings();
            let upkeep = Upkeep::before(self, &job.task, &settings);
            let outcome = self.run_helper(id, &job, &settings);
            upkeep.before_answer(outcome.status);
            next = self.finish(id, &outcome);
            upkeep.after_answer(outcome.status);
        }
    }

    fn finish(&self, id: JobId, outcome: &Outcome) -> Option<JobId> {
        let mut state = self.lock();
        state.blanker.take_if(|(job, _)| *job == id);
        let (job, waiting) = state.jobs.finish(id);
        if let Some(job) = job {
            self.settle_job(&mut state, &job, outcome);
            debug!("{} ended with status {}", job.task, outcome.status);
        }
        if state.stopping {
            self.changed.notify_all();
        }
        self.rearm(state);
        waiting
    }

    /// Runs a job's helper to its end.
    fn run_helper(&self, id: JobId, job: &Job, settings: &Settings) -> Outcome {
        let task = &job.task;
        let helper = match helper_for(task, settings, job.trigger()) {
            Ok(helper) => helper,
            Err(refusal) => {
                warn!("{task}: {refusal}");
                return (-refusal.errno).into();
            }
        };
        if settings.dry_run {
            info!("would run {helper}");
            return 0.into();
        }
        debug!("{task}: running {helper}");
        match self.spawn(&helper) {
            Ok(running) => {
                self.note_start(id, task, &running);
                self.journal.began(job.number(), helper.argv(), helper.trigger, running.pid());
                let start = Instant::now();
                let outcome = running.wait();
                self.journal.ended(job.number(), outcome.status, start.elapsed());
                outcome
            }
            Err(errno) => {
                warn!("cannot run {}: {}", helper.path.display(), std::io::Error::from_raw_os_error(errno));
                (-errno).into()
            }
        }
    }

    fn spawn(&self, helper: &Helper) -> Result<Running, i32> {
        let _shared = self.spawning.read().unwrap_or_else(PoisonError::into_inner);
        helper::spawn(helper)
    }

    fn note_start(&self, id: JobId, task: &Task, running: &Running) {
        let mut state = self.lock();
        state.jobs.started(id, running.pid());
        if let (Task::Blanker, Some(handle)) = (task, running.handle()) {
            state.blanker = Some((id, handle));
        }
    }
}

/// The helper of a task.
fn helper_for(task: &Task, settings: &Settings, trigger: Option<i16>) -> Result<Helper, Refusal> {
    let gone = || Refusal::new(libc::ENOENT, "its helper is no longer in the configuration");
    match task {
        Task::Load(name) => modprobe(name, false, settings, trigger),
        Task::Unload(name) => modprobe(name, true, settings, trigger),
        Task::Route(address) => Ok(Helper {
            path: settings.route_helper.clone().ok_or_else(gone)?,
            args: vec![address.to_string()],
            trigger,
            watch: Watch::Limit(Some(settings.route_limit)),
        }),
        Task::Blanker => {
            Ok(Helper { path: settings.blanker.clone(), args: vec![], trigger, watch: Watch::Limit(None) })
        }
        Task::System(text, _) => {
            let command = settings.system_command(text).ok_or_else(gone)?;
            let watch = Watch::Output(command.limit);
            Ok(Helper { path: command.path.clone(), args: command.args.clone(), trigger, watch })
        }
    }
}

fn modprobe(
    name: &ModuleName,
    unload: bool,
    settings: &Settings,
    trigger: Option<i16>,
) -> Result<Helper, Refusal> {
    settings.rules.allows(name)?;
    let path = kmod::helper(settings.modprobe.as_deref())?;
    Ok(Helper { path, args: modprobe_args(name, unload), trigger, watch: Watch::Nothing })
}
