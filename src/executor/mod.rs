//! The privileged half: takes orders from the intake, runs helpers, answers.
//!
//! Three threads, and a request passes through two of them: one takes orders and starts helpers
//! (`orders`, `runs`), one learns of the helpers' ends and answers (`ends`); the third does what is due
//! by time (`clock`). What may take long has a thread of its own.
#![forbid(unsafe_code)]

mod clock;
pub mod delays;
mod ends;
pub mod jobs;
mod orders;
mod runs;
pub mod settings;
pub mod status;
mod upkeep;

use ends::Ends;
use orders::PersistRequest;
use runs::Run;

use crate::executor::delays::Delays;
use crate::executor::jobs::{Job, JobId, Jobs, Waiter};
use crate::executor::settings::Settings;
use crate::executor::status::Switches;
use crate::helper::cpus::Cpus;
use crate::helper::watched::{Handle, Outcome};
use crate::intake::process::Hold;
use crate::intake::source::{Next, Source};
use crate::intake::told::Told;
use crate::modules::store::Store;
use crate::queue::foreign::StaleMessages;
use crate::queue::outbox::Outbox;
use kerneld_journal::Journal;
use kerneld_protocol::queue::{Queue, Select};
use kerneld_protocol::sender::Senders;
use log::{LevelFilter, error, info, warn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// What an executor works with, from its start to its end.
pub(crate) struct Parts {
    /// The queue that answers go to.
    pub queue: Queue,
    /// What the intake takes of it.
    pub served: Select,
    /// Where helpers may run.
    pub cpus: Cpus,
    /// What kdstat's words may change.
    pub switches: Switches,
    /// Where every step is written down.
    pub journal: Journal,
    /// What came in through us.
    pub ours: Store,
}

/// The executor, shared by its threads.
pub struct Executor {
    queue: Queue,
    served: Select,
    cpus: Cpus,
    settings: RwLock<Arc<Settings>>,
    journal: Journal,
    /// Whether this kernel has modules, and can unload them.
    modular: bool,
    ours: Store,
    state: Mutex<State>,
    /// Locked after the state where both are, and never while waiting.
    outbox: Mutex<Outbox>,
    /// Signalled when the clock has to be looked at again, when a sweep ends, and while stopping when
    /// something ends.
    changed: Condvar,
    /// Where running helpers' ends are waited for.
    ends: Ends,
}

struct State {
    jobs: Jobs,
    delays: Delays,
    stale: StaleMessages,
    switches: Switches,
    /// Requests for persistent settings, in order; the first is being carried out.
    persist: VecDeque<(PersistRequest, Waiter)>,
    /// Jobs that have ended and are being answered, with nothing locked.
    answering: usize,
    /// Helpers whose ends are waited for.
    runs: HashMap<JobId, Run>,
    /// The running screen blanker.
    blanker: Option<(JobId, Handle)>,
    /// Texts of system commands that were refused, and said so.
    refused_commands: HashSet<String>,
    /// When the next sweep is; `None` while nothing came in through us.
    sweep: Option<Instant>,
    /// Whether idle modules are being unloaded: no load begins meanwhile, which could be told that a
    /// module is there that is on its way out.
    sweeping: bool,
    /// When the clock is looked at anyway.
    armed: Option<Instant>,
    /// The intake, until it is reaped.
    intake: Option<Arc<Hold>>,
    stopping: bool,
}

impl Executor {
    /// Starts its threads, which take orders from `intake`.
    ///
    /// # Errors
    /// A sentence: the system has no descriptor or no thread left.
    pub(crate) fn start(parts: Parts, settings: Settings, source: Source) -> Result<Arc<Self>, String> {
        let Parts { queue, served, cpus, switches, journal, ours } = parts;
        set_log_level(switches);
        let state = State {
            jobs: Jobs::new(settings.at_once, settings.busy_limit),
            delays: Delays::default(),
            stale: StaleMessages::new(queue, served, Instant::now()),
            switches,
            persist: VecDeque::new(),
            blanker: None,
            refused_commands: HashSet::new(),
            answering: 0,
            runs: HashMap::new(),
            sweep: None,
            sweeping: false,
            armed: None,
            intake: Some(source.hold()),
            stopping: false,
        };
        let executor = Arc::new(Executor {
            queue,
            served,
            cpus,
            settings: RwLock::new(Arc::new(settings)),
            journal,
            modular: ours.kernel().loaded().is_ok(),
            ours,
            state: Mutex::new(state),
            outbox: Mutex::new(Outbox::new(queue)),
            changed: Condvar::new(),
            ends: Ends::new().map_err(|errno| format!("cannot make an epoll: {errno}"))?,
        });
        if !executor.modular {
            info!("autoclean is off: this kernel has no modules, or cannot unload them");
        }
        executor.arm_sweep(&mut executor.lock());
        executor.thread("clock", |executor| executor.keep_time())?;
        executor.thread("ends", |executor| executor.await_ends())?;
        executor.thread("orders", |executor| executor.take_orders(source))?;
        Ok(executor)
    }

    fn thread(
        self: &Arc<Self>,
        name: &str,
        life: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Result<(), String> {
        let executor = Arc::clone(self);
        let live = move || {
            // A daemon with one thread less would take requests and never answer.
            if catch_unwind(AssertUnwindSafe(|| life(&executor))).is_err() {
                give_up("a thread has panicked");
            }
        };
        let started = thread::Builder::new().name(name.to_owned()).spawn(live);
        started.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// Puts other settings in force, for requests from now on.
    pub fn set_settings(&self, settings: Settings) {
        let mut state = self.lock();
        state.jobs.set_limits(settings.at_once, settings.busy_limit);
        if let Some(Err(why)) =
            state.intake.as_ref().map(|intake| intake.tell(Told::Persist(settings.persist)))
        {
            warn!("{why}");
        }
        drop(state);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Ends service. What is still queued is refused with -ENODEV; delayed releases are answered
    /// -EINTR; helpers get `grace` to end, then those who wait for them are answered -EINTR.
    pub fn stop(&self, grace: Duration) {
        let end = Instant::now() + grace;
        let mut state = self.lock();
        state.stopping = true;
        for job in state.jobs.abandon_waiting() {
            self.settle_job(&job, &(-libc::ENODEV).into(), None);
        }
        for delayed in state.delays.take_all() {
            self.settle(delayed.waiter, -libc::EINTR);
        }
        if let Some((_, blanker)) = &state.blanker {
            blanker.quit();
        }
        let told = Instant::now();
        if let Some(intake) = &state.intake {
            intake.resume();
            let _ = intake.tell(Told::Stop);
        }
        while let Some(intake) = &state.intake
            && Instant::now() < end
        {
            // Again and again: it may be just about to wait for a message.
            if told.elapsed() < STOP_LIMIT {
                intake.nudge()
            } else {
                intake.kill()
            }
            state = self.wait_until(state, Some(Instant::now() + Duration::from_millis(20)));
        }
        while (state.jobs.running() > 0 || state.answering > 0) && Instant::now() < end {
            state = self.wait_until(state, Some(end));
        }
        for job in state.jobs.abandon_all() {
            warn!("{} is still running: answered -EINTR", job.task);
            self.settle_job(&job, &(-libc::EINTR).into(), None);
        }
        while !self.outbox().settled() && Instant::now() < end {
            self.outbox().tend(Instant::now());
            state = self.wait_until(state, Some(Instant::now() + Duration::from_millis(10)));
        }
    }

    /// Does what may take long in a thread of its own, on any CPU; here, if there is no thread to be had.
    /// Not to be called with anything locked.
    fn aside(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let work = Arc::new(Mutex::new(Some(work)));
        let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (executor, handed) = (Arc::clone(self), Arc::clone(&work));
        let started = thread::Builder::new().spawn(move || {
            executor.cpus.spread();
            take(&handed).map(|work: _| work(&executor))
        });
        if let Err(error) = started {
            warn!("cannot start a thread ({error}): what comes next has to wait");
            if let Some(work) = take(&work) {
                work(self);
            }
        }
    }

    /// Starts helpers and takes their ends: here, which is quick, unless something may hold it up.
    fn swiftly(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let held_up = !self.settings().drivers.is_empty() || self.lock().sweeping;
        if held_up { self.aside(work) } else { work(self) }
    }

    /// Takes orders, one at a time and in order, until there will be no more.
    fn take_orders(self: &Arc<Self>, mut source: Source) {
        let mut senders = Senders::default();
        loop {
            match source.next(self.settings().persist) {
                Next::Order(order) => self.accept(order, &mut source, &mut senders),
                Next::Ended if self.replace(&mut source) => {}
                Next::Ended => return,
            }
        }
    }

    /// Starts a new intake in place of one that ended; false when stopping or when it cannot be had.
    fn replace(&self, source: &mut Source) -> bool {
        let stopping = {
            let mut state = self.lock();
            state.intake = None;
            self.changed.notify_all();
            state.stopping
        };
        if stopping {
            return false;
        }
        match source.replace(self.settings().persist) {
            Ok(()) => self.lock().intake = Some(source.hold()),
            Err(error) => {
                give_up(&error);
                return false;
            }
        }
        true
    }

    /// Answers a request, with which nothing more is to be done.
    fn answer(&self, waiter: Waiter, status: i32) {
        self.answer_text(waiter, status, &[]);
    }

    fn answer_text(&self, waiter: Waiter, status: i32, text: &[u8]) {
        self.settle_text(waiter, status, text);
        self.rearm(self.lock());
    }

    /// Answers a request for which no helper ran; the clock is still to be rearmed.
    fn settle(&self, waiter: Waiter, status: i32) {
        self.settle_text(waiter, status, &[]);
    }

    fn settle_text(&self, waiter: Waiter, status: i32, text: &[u8]) {
        self.outbox().answer(waiter.reply, status, text, Instant::now());
        self.journal.answered(waiter.request, status, text.len());
    }

    /// Answers all who wait for a job, and then writes down that it did. `took` is how long its helper
    /// ran, if one did.
    fn settle_job(&self, job: &Job, outcome: &Outcome, took: Option<Duration>) {
        let mut outbox = self.outbox();
        for waiter in &job.waiters {
            outbox.answer(waiter.reply, outcome.status, &outcome.text, Instant::now());
        }
        drop(outbox);
        let requests = job.waiters.iter().map(|waiter| waiter.request);
        self.journal.finished(took, outcome.status, outcome.text.len(), requests);
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
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

/// How long an intake that is to end may take before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// `debug` logs each step; otherwise what an admin should know.
fn set_log_level(switches: Switches) {
    log::set_max_level(if switches.debug { LevelFilter::Debug } else { LevelFilter::Info });
}

/// Ends the daemon in order: its main thread waits for this signal.
fn give_up(why: &str) {
    error!("{why}: giving up");
    let _ = kill(Pid::this(), Signal::SIGTERM);
}
