//! A request's life, from its order to its answer: take, decide, fold, start, end, answer. Each step is a
//! few lines over parts that own what they need and know nothing of this file.
#![forbid(unsafe_code)]

use super::decision::{Decision, decide, decide_again, doubt, helper_for, helpers_again};
use super::jobs::{Job, JobId, Submitted};
use super::persist::PersistQueue;
use super::settings::Settings;
use super::status::StatusDesk;
use super::work::{Closed, Run, Work};
use crate::helper::ends::Ends;
use crate::helper::running::{Helpers, Running};
use crate::helper::watched::Outcome;
use crate::modules::care::{CareOfRun, ModuleCare};
use crate::order::action::{Action, Order};
use crate::order::name::{ModuleName, Refusal};
use crate::order::task::{Task, Waiter};
use crate::queue::answers::Answers;
use crate::queue::foreign::drop_foreign;
use crate::queue::ownership::OwnQueue;
use crate::threads::{self, Clock};
use kerneld_journal::Accepted;
use kerneld_protocol::queue::Select;
use kerneld_protocol::sender::Senders;
use log::{debug, error, info, warn};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Everything that a request meets on its way, shared by the threads that take it along.
pub(crate) struct Life {
    /// The queue, and what the intake takes off it.
    pub(crate) queue: Arc<OwnQueue>,
    pub(crate) served: Select,
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) status: StatusDesk,
    pub(crate) work: Work,
    pub(crate) answers: Answers,
    pub(crate) persist: PersistQueue,
    pub(crate) care: Arc<ModuleCare>,
    pub(crate) helpers: Arc<Helpers>,
    pub(crate) ends: Ends,
    pub(crate) clock: Clock,
}

impl Life {
    /// Takes an order: writes it down, with who may have sent it. `note` is called with its number before that.
    pub(crate) fn take(&self, order: &Order, senders: &mut Senders, note: impl FnOnce(u64)) -> Waiter {
        let last_sender = self.queue.now().stat().ok().map(|stat| stat.last_sender);
        let sender = senders.find(&order.reply, last_sender);
        note(self.answers.next_request(order.reply.id));
        let request = self.answers.journal().accepted(order.command, &order.text, order.reply, sender);
        Waiter { request, reply: order.reply }
    }

    /// Decides what becomes of it, and sees to what needs no helper.
    pub(crate) fn decide(self: &Arc<Self>, verdict: Result<Action, Refusal>, waiter: Waiter) {
        let keep = self.status.switches().keep;
        match decide(verdict, waiter.request, &self.settings(), keep) {
            Decision::Run(task) => {
                if let Some(job) = self.fold(task, waiter) {
                    self.start(job);
                }
            }
            Decision::ReleaseLater(name) => self.release_later(name, waiter),
            Decision::CancelRelease(name) => self.cancel_release(&name, waiter),
            Decision::EndBlanker => self.end_blanker(waiter),
            Decision::Persist(request) => {
                if self.persist.push(request, waiter) {
                    self.in_own_thread(None, |life| life.serve_persist());
                }
            }
            Decision::Status(words) => self.tell_status(&words, waiter),
            Decision::Ignore(why) => {
                debug!("ignored: {why}");
                self.answer(waiter, 0, &[]);
            }
            Decision::Refuse(refusal) => self.refuse(&refusal, waiter),
            Decision::RefuseCommand(text) => self.refuse_command(&text, waiter),
            Decision::NotServed(command) => {
                warn!("{command} is not served");
                self.answer(waiter, 1, &[]);
            }
        }
    }

    /// Folds it into a job that does the same, or makes a job of it; the job, if it may start now.
    pub(super) fn fold(&self, task: Task, waiter: Waiter) -> Option<JobId> {
        debug!("{task} from pid {}", waiter.reply.pid);
        if matches!(task, Task::Load(_)) {
            self.care.postpone_sweep(self.status.switches().sweep_interval());
        }
        match self.work.submit(task, waiter) {
            Ok(Submitted::Start(job)) => return Some(job),
            Ok(Submitted::Joined) => {}
            Ok(Submitted::Waits) => self.clock.wake_by(self.work.next_deadline()),
            Err(Closed) => self.answer(waiter, -libc::ENODEV, &[]),
        }
        None
    }

    /// Starts a job's helper. One that cannot be started is answered at once, and the next one started.
    pub(super) fn start(self: &Arc<Self>, id: JobId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(job) = self.work.job(id) else { return };
            let settings = self.settings();
            let care = self.care.begin(&job.task, &settings.modules);
            next = match self.run_helper(&job, &settings) {
                Ok((path, helper)) => {
                    return self.watch(Run { id, care, path, start: Instant::now(), helper }, &job.task);
                }
                Err(outcome) => self.answer_job(id, care, &outcome, None),
            };
        }
    }

    fn run_helper(&self, job: &Job, settings: &Settings) -> Result<(PathBuf, Running), Outcome> {
        let task = &job.task;
        let helper = helper_for(task, settings, job.trigger()).map_err(|refusal| {
            warn!("{task}: {refusal}");
            Outcome::from(-refusal.errno)
        })?;
        if settings.modules.dry_run {
            info!("would run {helper}");
            return Err(0.into());
        }
        debug!("{task}: running {helper}");
        let running = self.helpers.start(&helper)?;
        self.answers.journal().began(job.number(), helper.argv(), helper.trigger, running.pid());
        Ok((helper.path, running))
    }

    /// Has its end waited for: by [`Life::await_ends`], or by a thread that looks after it.
    fn watch(self: &Arc<Self>, run: Run, task: &Task) {
        let id = run.id;
        if let Some(run) = self.work.watch(run, task, &self.ends) {
            self.in_own_thread(Some(id), move |life| life.end(run));
        }
    }

    /// Learns of helpers' ends as they come.
    ///
    /// # Errors
    /// A sentence, when that has become impossible.
    pub(crate) fn await_ends(self: &Arc<Self>) -> Result<(), String> {
        loop {
            let ended = self.ends.wait().map_err(|errno| format!("cannot wait for helpers: {errno}"))?;
            for id in ended {
                if let Some(run) = self.work.take_run(id) {
                    self.here_if_quick(id, move |life| life.end(run));
                }
            }
        }
    }

    /// Takes a helper's end, or waits for it, and answers; then the next job may start.
    fn end(self: &Arc<Self>, Run { id, care, path, start, mut helper }: Run) {
        let outcome = helper.outcome(&path);
        let next = self.answer_job(id, care, &outcome, Some(start.elapsed()));
        // Reaping it takes the kernel a while, for which the client need not wait.
        drop(helper);
        if let Some(next) = next {
            self.start(next);
        }
    }

    /// Answers all who wait for a job; the job that may start in its place.
    fn answer_job(
        self: &Arc<Self>,
        id: JobId,
        care: CareOfRun,
        outcome: &Outcome,
        took: Option<Duration>,
    ) -> Option<JobId> {
        care.before_answer(outcome.status);
        let next = self.finish_job(id, outcome, took);
        if let Some(adoption) = care.after_answer() {
            self.then_plan_sweep(|| adoption.carry_out());
        }
        next
    }

    fn finish_job(&self, id: JobId, outcome: &Outcome, took: Option<Duration>) -> Option<JobId> {
        let (job, next) = self.work.finish(id);
        if let Some(job) = job {
            self.answers.answer_all(&job.waiters, outcome.status, &outcome.text, took);
            debug!("{} ended with status {}", job.task, outcome.status);
        }
        self.work.answered();
        self.clock.wake_by(self.answers.next_deadline());
        next
    }

    /// Answers a request for which no helper ran.
    pub(super) fn answer(&self, waiter: Waiter, status: i32, text: &[u8]) {
        self.answers.answer(waiter, status, text);
        self.clock.wake_by(self.answers.next_deadline());
    }

    fn refuse(&self, refusal: &Refusal, waiter: Waiter) {
        warn!("refused: {refusal}");
        self.answer(waiter, -refusal.errno, &[]);
    }

    fn refuse_command(&self, text: &str, waiter: Waiter) {
        if self.work.is_first_refusal_of(text) {
            warn!("refused: system command '{}' is not in the configuration", text.escape_debug());
        }
        self.answer(waiter, -libc::EPERM, &[]);
    }

    fn release_later(&self, name: ModuleName, waiter: Waiter) {
        let delay = self.status.switches().release_delay();
        debug!("release of {name} in {} s", delay.as_secs());
        match self.work.delay(name, waiter, Instant::now() + delay) {
            Ok(()) => self.clock.wake_by(self.work.next_deadline()),
            Err(Closed) => self.answer(waiter, -libc::ENODEV, &[]),
        }
    }

    /// Those whose release is cancelled are answered 0, as is the one who cancels.
    fn cancel_release(&self, name: &ModuleName, waiter: Waiter) {
        for delayed in self.work.cancel(name) {
            debug!("release of {name} is cancelled");
            self.answer(delayed.waiter, 0, &[]);
        }
        self.answer(waiter, 0, &[]);
    }

    /// The blanker's exit answers the request that ended it.
    fn end_blanker(&self, waiter: Waiter) {
        if !self.work.end_blanker(waiter) {
            self.answer(waiter, 1, &[]);
        }
    }

    /// The status of a value is its size; of a change it is 0.
    fn serve_persist(&self) {
        let store = || self.settings().store.clone();
        self.persist.carry_out(store, |waiter, done| match done {
            Ok(value) => self.answer(waiter, i32::try_from(value.len()).unwrap_or(i32::MAX), &value),
            Err(refusal) => self.refuse(&refusal, waiter),
        });
    }

    fn tell_status(&self, words: &str, waiter: Waiter) {
        let flushes = self.status.act_on(words);
        let flushed = (flushes > 0).then(|| self.flush());
        self.plan_sweep();
        let text = self.work.render(&self.status.switches(), flushed);
        self.answer(waiter, 0, text.as_bytes());
    }

    /// Drops messages that nobody here serves; returns how many.
    fn flush(&self) -> usize {
        let dropped = drop_foreign(self.queue.now(), |mtype| self.is_ours(mtype), |_| true);
        dropped.inspect_err(|errno| warn!("cannot flush the queue: {}", errno.desc())).unwrap_or(0)
    }

    /// Whether a message of this type is a request that is served, or an answer.
    pub(crate) fn is_ours(&self, mtype: i64) -> bool {
        self.served.takes(mtype) || self.answers.owns(mtype)
    }

    /// Sees to what a daemon before us left: who may have been answered, what may still run.
    pub(crate) fn take_up_again(self: &Arc<Self>, requests: &[Accepted]) {
        self.answers.doubt(requests.iter().map(doubt));
        self.helpers.find_survivors(&helpers_again(requests, &self.settings()));
        for accepted in requests {
            info!(
                "{} '{}' was left unanswered by an earlier daemon: taken up again",
                accepted.command(),
                accepted.text
            );
            match decide_again(accepted) {
                Some(action) => self.decide(Ok(action), doubt(accepted).waiter),
                None => self.answer(doubt(accepted).waiter, -libc::EINTR, &[]),
            }
        }
    }

    /// Does what may take long in a thread of its own, on any CPU. If it panics, those who wait for `job`
    /// are answered -EIO. Not to be called with anything locked.
    pub(super) fn in_own_thread(
        self: &Arc<Self>,
        job: Option<JobId>,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let (life, left) = (Arc::clone(self), Arc::clone(self));
        let work = move || {
            life.helpers.cpus().spread();
            work(&life);
        };
        threads::start_or_do("worker", work, move || {
            if let Some(job) = job {
                left.fail(job);
            }
        });
    }

    /// Starts a helper or takes its end: here, which is quick, unless something may hold it up.
    pub(super) fn here_if_quick(
        self: &Arc<Self>,
        job: JobId,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let saves = !self.settings().modules.parameters.listed.is_empty();
        if saves || self.care.is_sweeping() {
            self.in_own_thread(Some(job), work);
        } else {
            work(self);
        }
    }

    /// Answers a job whose thread has panicked.
    fn fail(self: &Arc<Self>, job: JobId) {
        error!("a job was given up after an internal error");
        if let Some(next) = self.finish_job(job, &(-libc::EIO).into(), None) {
            self.start(next);
        }
    }

    /// Puts other settings in force, for requests from now on.
    pub(crate) fn set_settings(&self, settings: Settings) {
        self.work.set_limits(settings.at_once, settings.busy_limit);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Begins nothing new from now on: what waits for a place is refused with -ENODEV, delayed releases
    /// are answered -EINTR, and the screen blanker is asked to end.
    pub(crate) fn close(&self) {
        let (waiting, delayed) = self.work.close();
        for job in waiting {
            self.answers.answer_all(&job.waiters, -libc::ENODEV, &[], None);
        }
        for delayed in delayed {
            self.answer(delayed.waiter, -libc::EINTR, &[]);
        }
    }

    /// Lets what runs end, and answers be sent and fetched, until `end`. Those who wait for a helper that
    /// runs on are answered -EINTR.
    pub(crate) fn wait_for_end(&self, end: Instant) {
        for job in self.work.wait_for_end(end) {
            warn!("{} is still running: its clients are answered -EINTR", job.task);
            self.answers.answer_all(&job.waiters, -libc::EINTR, &[], None);
        }
        self.answers.settle(end);
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }
}
