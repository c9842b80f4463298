//! The privileged half: takes orders from the intake, runs helpers, answers.
//!
//! A request passes through as few hands as can be: the worker thread that receives an order starts
//! the helper, waits for it and answers, while another worker takes its place at the channel.
//! `orders` says what each order comes to, `runs` runs helpers, `clock` does what is due by time.
#![forbid(unsafe_code)]

mod clock;
mod orders;
mod runs;
mod upkeep;

use orders::{PersistRequest, Work};

use crate::action::FromIntake;
use crate::autoclean;
use crate::delays::Delays;
use crate::helper::{Handle, Outcome};
use crate::intake_process::{IntakeProcess, Received};
use crate::jobs::{Job, JobId, Jobs, Waiter};
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::stale::StaleMessages;
use crate::status::Switches;
use kerneld_compat::journal::Journal;
use kerneld_compat::queue::{Queue, Select};
use kerneld_compat::sender::Senders;
use log::{LevelFilter, error, warn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Workers that stay when there is nothing to do.
const IDLE_WORKERS: usize = 8;

/// The executor, shared by its threads.
pub struct Executor {
    queue: Queue,
    /// What the intake takes of it.
    served: Select,
    settings: RwLock<Arc<Settings>>,
    journal: Journal,
    /// Who sends, for the journal.
    senders: Mutex<Senders>,
    /// What came in through us.
    ours: autoclean::store::Store,
    /// Held by the worker that waits for the next order.
    intake: Mutex<IntakeProcess>,
    state: Mutex<State>,
    /// Signalled when the clock has to be looked at again, and while stopping when something ends.
    changed: Condvar,
    /// Workers at, or on their way to, the channel.
    idle: AtomicUsize,
    /// Held for reading while a module is being loaded, for writing while idle ones are unloaded.
    sweeping: RwLock<()>,
    /// Held for writing while a descriptor may exist that is not close-on-exec.
    spawning: RwLock<()>,
}

struct State {
    jobs: Jobs,
    delays: Delays,
    outbox: Outbox,
    stale: StaleMessages,
    switches: Switches,
    /// Requests for persistent settings, in order; the first is being carried out.
    persist: VecDeque<(PersistRequest, Waiter)>,
    /// The running screen blanker.
    blanker: Option<(JobId, Handle)>,
    /// Texts of system commands that were refused, and said so.
    refused_commands: HashSet<String>,
    /// When the next sweep is; `None` while nothing came in through us.
    sweep: Option<Instant>,
    /// When the clock is looked at anyway.
    armed: Option<Instant>,
    /// The intake, until it is reaped.
    intake: Option<Pid>,
    stopping: bool,
}

impl Executor {
    /// Starts workers that take orders from `intake`, and the clock.
    pub fn start(
        queue: Queue,
        served: Select,
        settings: Settings,
        switches: Switches,
        journal: Journal,
        ours: autoclean::store::Store,
        intake: IntakeProcess,
    ) -> Arc<Self> {
        set_log_level(switches);
        let state = State {
            jobs: Jobs::new(settings.at_once, settings.busy_limit),
            delays: Delays::default(),
            outbox: Outbox::new(queue),
            stale: StaleMessages::new(queue, served, Instant::now()),
            switches,
            persist: VecDeque::new(),
            blanker: None,
            refused_commands: HashSet::new(),
            sweep: None,
            armed: None,
            intake: Some(intake.pid()),
            stopping: false,
        };
        let executor = Arc::new(Executor {
            queue,
            served,
            settings: RwLock::new(Arc::new(settings)),
            journal,
            senders: Mutex::default(),
            ours,
            intake: Mutex::new(intake),
            state: Mutex::new(state),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            sweeping: RwLock::new(()),
            spawning: RwLock::new(()),
        });
        executor.arm_sweep(&mut executor.lock());
        executor.add_worker();
        executor.add_worker();
        let clock = Arc::clone(&executor);
        thread::spawn(move || clock.keep_time());
        executor
    }

    /// Puts other settings in force, for requests from now on.
    pub fn set_settings(&self, settings: Settings) {
        self.lock().jobs.set_limits(settings.at_once, settings.busy_limit);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Ends service. What is still queued is refused with -ENODEV; delayed releases are answered
    /// -EINTR; helpers get `grace` to end, then those who wait for them are answered -EINTR.
    pub fn stop(&self, grace: Duration) {
        let end = Instant::now() + grace;
        let mut state = self.lock();
        state.stopping = true;
        for job in state.jobs.abandon_waiting() {
            self.settle_job(&mut state, &job, &(-libc::ENODEV).into(), None);
        }
        for delayed in state.delays.take_all() {
            self.settle(&mut state, delayed.waiter, -libc::EINTR);
        }
        if let Some((_, blanker)) = &state.blanker {
            blanker.quit();
        }
        while let Some(pid) = state.intake {
            // Said again and again: it may be just about to wait for a message.
            let _ = kill(pid, Signal::SIGTERM);
            state = self.wait_until(state, Some(Instant::now() + Duration::from_millis(20)));
        }
        while state.jobs.running() > 0 && Instant::now() < end {
            state = self.wait_until(state, Some(end));
        }
        for job in state.jobs.abandon_all() {
            warn!("{} is still running: answered -EINTR", job.task);
            self.settle_job(&mut state, &job, &(-libc::EINTR).into(), None);
        }
        while !state.outbox.settled() && Instant::now() < end {
            state.outbox.tend(Instant::now());
            state = self.wait_until(state, Some(Instant::now() + Duration::from_millis(10)));
        }
    }

    fn add_worker(self: &Arc<Self>) {
        self.idle.fetch_add(1, Ordering::AcqRel);
        let worker = Arc::clone(self);
        if let Err(error) = thread::Builder::new().spawn(move || worker.work()) {
            // The one who wanted it comes back to the channel itself, only later.
            self.idle.fetch_sub(1, Ordering::AcqRel);
            error!("cannot start another worker: {error}");
        }
    }

    /// The life of a worker: one piece of work after another, until others can do without it.
    fn work(self: Arc<Self>) {
        while let Some(work) = self.next_work() {
            if self.idle.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.add_worker();
            }
            self.carry_out(work);
            if self.idle.fetch_add(1, Ordering::AcqRel) >= IDLE_WORKERS {
                break;
            }
        }
        self.idle.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes orders, one at a time and in order, until one makes work that takes a while; `None` when
    /// there will be no more.
    fn next_work(&self) -> Option<Work<'_>> {
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match intake.receive() {
                Received::Message(FromIntake::Order(order)) => {
                    if let Some(work) = self.accept(order) {
                        return Some(work);
                    }
                }
                Received::Message(FromIntake::Hello | FromIntake::Ready) => {}
                Received::Nonsense(why) => {
                    error!("the intake sent what no intake sends ({why}): ending it");
                    intake.kill();
                }
                Received::Ended => self.replace(&mut intake)?,
            }
        }
    }

    /// Starts a new intake in place of one that ended; `None` when stopping or when it cannot be had.
    fn replace(&self, intake: &mut IntakeProcess) -> Option<()> {
        let stopping = {
            let mut state = self.lock();
            state.intake = None;
            self.changed.notify_all();
            state.stopping
        };
        if stopping {
            return None;
        }
        let ended = intake.reap();
        error!("the intake ended ({ended}): starting another");
        let _alone = self.spawning.write().unwrap_or_else(PoisonError::into_inner);
        match intake.restart() {
            Ok(()) => self.lock().intake = Some(intake.pid()),
            Err(error) => {
                error!("{error}: giving up");
                // The main thread waits for this signal to end the daemon in order.
                let _ = kill(Pid::this(), Signal::SIGTERM);
                return None;
            }
        }
        Some(())
    }

    /// Answers a request, with which nothing more is to be done.
    fn answer(&self, waiter: Waiter, status: i32) -> Option<Work<'_>> {
        self.answer_text(waiter, status, &[])
    }

    fn answer_text(&self, waiter: Waiter, status: i32, text: &[u8]) -> Option<Work<'_>> {
        let mut state = self.lock();
        state.outbox.answer(waiter.reply, status, text, Instant::now());
        self.rearm(state);
        self.journal.answered(waiter.request, status, text.len(), None);
        None
    }

    /// Answers a request for which no helper ran.
    fn settle(&self, state: &mut State, waiter: Waiter, status: i32) {
        state.outbox.answer(waiter.reply, status, &[], Instant::now());
        self.journal.answered(waiter.request, status, 0, None);
    }

    /// Answers all who wait for a job, and then writes down that it did. `took` is how long its helper
    /// ran, if one did.
    fn settle_job(&self, state: &mut State, job: &Job, outcome: &Outcome, took: Option<Duration>) {
        for waiter in &job.waiters {
            state.outbox.answer(waiter.reply, outcome.status, &outcome.text, Instant::now());
        }
        if let Some(took) = took {
            self.journal.ended(job.number(), outcome.status, took);
        }
        for waiter in &job.waiters {
            let length = outcome.text.len();
            self.journal.answered(waiter.request, outcome.status, length, Some(job.number()));
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        match deadline {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// `debug` logs each step; otherwise what an admin should know.
fn set_log_level(switches: Switches) {
    log::set_max_level(if switches.debug { LevelFilter::Debug } else { LevelFilter::Info });
}
