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
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job whose helper has been started, or could not be.
pub(super) struct Run<'a> {
    id: JobId,
    upkeep: Upkeep<'a>,
    helper: Result<(Running, Instant), Outcome>,
}

impl Executor {
    /// Starts a job's helper.
    pub(super) fn begin(&self, id: JobId) -> Option<Run<'_>> {
        let job = self.lock().jobs.get(id).cloned()?;
        let settings = self.settings();
        let upkeep = Upkeep::before(self, &job.task, Arc::clone(&settings));
        let helper = self.start_helper(id, &job, &settings).map(|running| (running, Instant::now()));
        Some(Run { id, upkeep, helper })
    }

    /// Sees a job through, and then those that waited for its place.
    pub(super) fn complete(&self, run: Run) {
        let mut next = self.finish(run);
        while let Some(run) = next.and_then(|id| self.begin(id)) {
            next = self.finish(run);
        }
    }

    /// Waits for the helper and answers; the job that may start in this one's place.
    fn finish(&self, Run { id, upkeep, helper }: Run) -> Option<JobId> {
        let (outcome, took) = match helper {
            Ok((running, start)) => (running.wait(), Some(start.elapsed())),
            Err(outcome) => (outcome, None),
        };
        upkeep.before_answer(outcome.status);
        let next = self.answer_job(id, &outcome, took);
        upkeep.after_answer();
        next
    }

    fn answer_job(&self, id: JobId, outcome: &Outcome, took: Option<Duration>) -> Option<JobId> {
        let mut state = self.lock();
        state.blanker.take_if(|(job, _)| *job == id);
        let (job, waiting) = state.jobs.finish(id);
        if let Some(job) = job {
            self.settle_job(&mut state, &job, outcome, took);
            debug!("{} ended with status {}", job.task, outcome.status);
        }
        if state.stopping {
            self.changed.notify_all();
        }
        self.rearm(state);
        waiting
    }

    fn start_helper(&self, id: JobId, job: &Job, settings: &Settings) -> Result<Running, Outcome> {
        let task = &job.task;
        let helper = helper_for(task, settings, job.trigger()).map_err(|refusal| {
            warn!("{task}: {refusal}");
            Outcome::from(-refusal.errno)
        })?;
        if settings.dry_run {
            info!("would run {helper}");
            return Err(0.into());
        }
        debug!("{task}: running {helper}");
        let running = self.spawn(&helper).map_err(|errno| {
            warn!("cannot run {}: {}", helper.path.display(), std::io::Error::from_raw_os_error(errno));
            Outcome::from(-errno)
        })?;
        self.note_start(id, task, &running);
        self.journal.began(job.number(), helper.argv(), helper.trigger, running.pid());
        Ok(running)
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
    let path = kmod::helper(settings.modprobe.as_deref())?;
    Ok(Helper { path, args: modprobe_args(name, unload), trigger, watch: Watch::Nothing })
}
