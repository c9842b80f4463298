//! What is under way: jobs with their helpers, delayed releases, the screen blanker. Nothing is read,
//! written or waited for while it is locked.
#![forbid(unsafe_code)]

use super::delays::{Delayed, Delays};
use super::jobs::{Job, JobId, Jobs, Submitted};
use super::status::{Switches, render};
use crate::helper::ends::Ends;
use crate::helper::running::Running;
use crate::helper::watched::Handle;
use crate::modules::care::CareOfRun;
use crate::order::name::ModuleName;
use crate::order::task::{Task, Waiter};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Texts of refused system commands that are remembered, so that each is logged once.
const REMEMBERED: usize = 1000;

/// What is under way, shared by threads.
pub(crate) struct Work {
    state: Mutex<State>,
    /// Signalled when a job has been answered.
    answered: Condvar,
}

struct State {
    jobs: Jobs,
    delays: Delays,
    /// Helpers whose ends are waited for.
    runs: HashMap<JobId, Run>,
    /// The running screen blanker.
    blanker: Option<(JobId, Handle)>,
    refused_commands: HashSet<String>,
    /// Jobs that have ended and are being answered.
    answering: usize,
    /// Nothing new is begun.
    closed: bool,
}

/// A job with its running helper.
pub(crate) struct Run {
    /// The job.
    pub(crate) id: JobId,
    /// What is to be done at its end.
    pub(crate) care: CareOfRun,
    /// The helper's program.
    pub(crate) path: PathBuf,
    /// When it was started.
    pub(crate) start: Instant,
    /// The helper.
    pub(crate) helper: Running,
}

/// Nothing new is begun any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Work {
    /// Nothing under way; at most `at_once` helpers will run, and a job past that waits for `busy_limit`.
    pub(crate) fn new(at_once: usize, busy_limit: Duration) -> Self {
        let state = State {
            jobs: Jobs::new(at_once, busy_limit),
            delays: Delays::default(),
            runs: HashMap::new(),
            blanker: None,
            refused_commands: HashSet::new(),
            answering: 0,
            closed: false,
        };
        Work { state: Mutex::new(state), answered: Condvar::new() }
    }

    /// Other limits, for jobs from now on.
    pub(crate) fn set_limits(&self, at_once: usize, busy_limit: Duration) {
        self.lock().jobs.set_limits(at_once, busy_limit);
    }

    /// Takes a request in; see [`Jobs::submit`].
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn submit(&self, task: Task, waiter: Waiter) -> Result<Submitted, Closed> {
        let mut state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state.jobs.submit(task, waiter, Instant::now())) }
    }

    /// The job as it is now, unless it has been answered.
    pub(crate) fn job(&self, id: JobId) -> Option<Job> {
        self.lock().jobs.get(id).cloned()
    }

    /// Notes that a job's helper runs, and has `ends` report its end; gives it back if that cannot be done,
    /// so that somebody else has to look after it.
    pub(crate) fn watch(&self, run: Run, task: &Task, ends: &Ends) -> Option<Run> {
        let mut state = self.lock();
        state.jobs.started(run.id, run.helper.pid());
        if *task == Task::Blanker {
            state.blanker = run.helper.handle().map(|handle| (run.id, handle));
        }
        match &run.helper {
            // The lock is held, so that no end is reported before its run is noted.
            Running::Plain(helper) if ends.watch(run.id, helper).is_ok() => {
                state.runs.insert(run.id, run);
                None
            }
            _ => Some(run),
        }
    }

    /// Takes out a run whose end has been reported.
    pub(crate) fn take_run(&self, id: JobId) -> Option<Run> {
        self.lock().runs.remove(&id)
    }

    /// Takes out a job that has ended, with the one that may start in its place. The caller answers it,
    /// and then says so by [`Work::answered`].
    pub(crate) fn finish(&self, id: JobId) -> (Option<Job>, Option<JobId>) {
        let mut state = self.lock();
        state.blanker.take_if(|(job, _)| *job == id);
        state.answering += 1;
        state.jobs.finish(id)
    }

    /// A job that has ended has been answered.
    pub(crate) fn answered(&self) {
        self.lock().answering -= 1;
        self.answered.notify_all();
    }

    /// Asks the screen blanker to end; its end answers `waiter` too; false if none runs.
    pub(crate) fn end_blanker(&self, waiter: Waiter) -> bool {
        let mut state = self.lock();
        let Some((job, blanker)) = state.blanker.clone() else { return false };
        state.jobs.join(job, waiter);
        blanker.quit();
        true
    }

    /// Lets a release wait until `due`.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn delay(&self, name: ModuleName, waiter: Waiter, due: Instant) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        state.delays.add(name, waiter, due);
        Ok(())
    }

    /// Takes out the releases of a module that wait for their time.
    pub(crate) fn cancel(&self, name: &ModuleName) -> Vec<Delayed> {
        self.lock().delays.cancel(name)
    }

    /// Takes out the releases whose time has come.
    pub(crate) fn due(&self, now: Instant) -> Vec<Delayed> {
        self.lock().delays.due(now)
    }

    /// Takes out the jobs whose wait for a place is over, and says how many helpers run.
    pub(crate) fn expire(&self, now: Instant) -> (Vec<Job>, usize) {
        let mut state = self.lock();
        (state.jobs.expire(now), state.jobs.running())
    }

    /// When [`Work::due`] or [`Work::expire`] has something next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let state = self.lock();
        [state.jobs.next_deadline(), state.delays.next_deadline()].into_iter().flatten().min()
    }

    /// Whether a system command of this text is refused for the first time, as far as is remembered.
    pub(crate) fn is_first_refusal_of(&self, text: &str) -> bool {
        let refused = &mut self.lock().refused_commands;
        refused.len() < REMEMBERED && refused.insert(text.to_owned())
    }

    /// The text that answers kdstat.
    pub(crate) fn render(&self, switches: &Switches, flushed: Option<usize>) -> String {
        let state = self.lock();
        render(switches, flushed, &state.jobs, &state.delays)
    }

    /// Begins nothing new from now on, and has the screen blanker end. The jobs that waited for a place and
    /// the delayed releases are the caller's to answer.
    pub(crate) fn close(&self) -> (Vec<Job>, Vec<Delayed>) {
        let mut state = self.lock();
        state.closed = true;
        if let Some((_, blanker)) = &state.blanker {
            blanker.quit();
        }
        (state.jobs.abandon_waiting(), state.delays.take_all())
    }

    /// Waits until no job is left to be answered, but not past `end`; those that are left.
    pub(crate) fn wait_for_end(&self, end: Instant) -> Vec<Job> {
        let mut state = self.lock();
        while state.jobs.running() > 0 || state.answering > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.jobs.abandon_all()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
