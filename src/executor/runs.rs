//! Runs helpers: from the job to the helper's start, and from its end to the answer.

use super::Executor;
use super::upkeep::Upkeep;
use crate::executor::jobs::{Job, JobId};
use crate::executor::settings::Settings;
use crate::helper::clone::{self, Spawned};
use crate::helper::modprobe::{self, modprobe_args};
use crate::helper::watched::{self, Outcome, Running};
use crate::helper::{Helper, Watch};
use crate::order::name::{ModuleName, Refusal};
use crate::order::task::Task;
use log::{debug, info, warn};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job with its running helper.
pub(super) struct Run {
    id: JobId,
    upkeep: Upkeep,
    path: PathBuf,
    start: Instant,
    child: Child,
}

enum Child {
    /// Only waited for: `ends` learns of its end.
    Plain(Spawned),
    /// Looked after by a thread.
    Watched(Running),
}

impl Executor {
    /// Starts a job's helper; one that cannot be started is answered at once, and the next one started.
    pub(super) fn begin(self: &Arc<Self>, id: JobId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(job) = self.lock().jobs.get(id).cloned() else { return };
            let settings = self.settings();
            let upkeep = self.prepare(&job.task, Arc::clone(&settings));
            next = match self.start_helper(&job, &settings) {
                Ok((path, child)) => {
                    return self.watch(Run { id, upkeep, path, start: Instant::now(), child }, &job);
                }
                Err(outcome) => self.finish(id, upkeep, &outcome, None),
            };
        }
    }

    fn start_helper(&self, job: &Job, settings: &Settings) -> Result<(PathBuf, Child), Outcome> {
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
        let child = self.spawn(&helper).map_err(|errno| Outcome::from(failed(&helper.path, errno)))?;
        self.journal.began(job.number(), helper.argv(), helper.trigger, child.pid());
        Ok((helper.path, child))
    }

    fn spawn(&self, helper: &Helper) -> Result<Child, i32> {
        match helper.watch {
            Watch::Nothing => clone::spawn(helper, self.cpus).map(Child::Plain),
            Watch::Limit(_) | Watch::Output(_) => {
                self.cpus.while_spread(|| watched::spawn(helper)).map(Child::Watched)
            }
        }
    }

    /// Has somebody wait for the helper.
    fn watch(self: &Arc<Self>, run: Run, job: &Job) {
        let mut state = self.lock();
        state.jobs.started(run.id, run.child.pid());
        if let (Task::Blanker, Child::Watched(running)) = (&job.task, &run.child) {
            state.blanker = running.handle().map(|handle| (run.id, handle));
        }
        if let Child::Plain(child) = &run.child
            && self.ends.watch(run.id, child).is_ok()
        {
            // The lock is held, so that no end is told of a run that is not there.
            state.runs.insert(run.id, run);
            return;
        }
        drop(state);
        self.aside(move |executor| executor.end(run));
    }

    /// Takes a helper's end, or waits for it, and answers.
    pub(super) fn end(self: &Arc<Self>, Run { id, upkeep, path, start, mut child }: Run) {
        let outcome = match &mut child {
            Child::Plain(child) => child.status().unwrap_or_else(|errno| failed(&path, errno)).into(),
            Child::Watched(running) => running.wait(),
        };
        let next = self.finish(id, upkeep, &outcome, Some(start.elapsed()));
        // Reaping it takes the kernel a while, for which the client need not wait.
        drop(child);
        if let Some(next) = next {
            self.begin(next);
        }
    }

    /// Answers; the job that may start in this one's place.
    fn finish(
        self: &Arc<Self>,
        id: JobId,
        upkeep: Upkeep,
        outcome: &Outcome,
        took: Option<Duration>,
    ) -> Option<JobId> {
        upkeep.before_answer(outcome.status);
        let next = self.answer_job(id, outcome, took);
        upkeep.after_answer(self);
        next
    }

    fn answer_job(&self, id: JobId, outcome: &Outcome, took: Option<Duration>) -> Option<JobId> {
        let mut state = self.lock();
        state.blanker.take_if(|(job, _)| *job == id);
        let (job, waiting) = state.jobs.finish(id);
        state.answering += 1;
        drop(state);
        if let Some(job) = job {
            self.settle_job(&job, outcome, took);
            debug!("{} ended with status {}", job.task, outcome.status);
        }
        let mut state = self.lock();
        state.answering -= 1;
        if state.stopping {
            self.changed.notify_all();
        }
        self.rearm(state);
        waiting
    }
}

impl Child {
    fn pid(&self) -> u32 {
        match self {
            Child::Plain(child) => child.pid(),
            Child::Watched(running) => running.pid(),
        }
    }
}

/// The status of a helper that could not be executed.
fn failed(helper: &Path, errno: i32) -> i32 {
    warn!("cannot run {}: {}", helper.display(), std::io::Error::from_raw_os_error(errno));
    -errno
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
    let path = modprobe::helper(settings.modprobe.as_deref())?;
    Ok(Helper { path, args: modprobe_args(name, unload), trigger, watch: Watch::Nothing })
}
