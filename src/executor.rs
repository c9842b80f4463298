//! The privileged half: takes orders from the intake, runs helpers, answers.
//!
//! A request passes through as few hands as can be: the worker thread that receives an order starts
//! the helper, waits for it and answers, while another worker takes its place at the channel.
#![forbid(unsafe_code)]

use crate::action::{Action, FromIntake, Order, Task};
use crate::helper;
use crate::intake_process::{IntakeProcess, Received};
use crate::jobs::{Job, JobId, Jobs, Submitted};
use crate::kmod;
use crate::outbox::Outbox;
use crate::policy::Refusal;
use crate::status::{Switches, render};
use kerneld_compat::queue::{Buffer, Queue, Select};
use kerneld_compat::request::ReplyTo;
use log::{LevelFilter, debug, error, info, warn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Workers that stay when there is nothing to do.
const IDLE_WORKERS: usize = 8;

/// How the admin wants helpers run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The helper to run; `None` for what `/proc/sys/kernel/modprobe` names at each request.
    pub modprobe: Option<PathBuf>,
    /// Log what would run and answer 0.
    pub dry_run: bool,
}

/// The executor, shared by its threads.
pub struct Executor {
    queue: Queue,
    settings: Settings,
    /// Held by the worker that waits for the next order.
    intake: Mutex<IntakeProcess>,
    state: Mutex<State>,
    /// Signalled when the timekeeper has to look again, and while stopping when something ends.
    changed: Condvar,
    /// Workers at, or on their way to, the channel.
    idle: AtomicUsize,
    /// Held for writing while a descriptor may exist that is not close-on-exec.
    spawning: RwLock<()>,
}

struct State {
    jobs: Jobs,
    outbox: Outbox,
    switches: Switches,
    /// When the timekeeper looks again by itself.
    armed: Option<Instant>,
    /// The intake, until it is reaped.
    intake: Option<Pid>,
    stopping: bool,
}

impl State {
    fn answer(&mut self, reply: ReplyTo, status: i32, text: &[u8]) {
        self.outbox.answer(reply, status, text, Instant::now());
    }

    fn answer_all(&mut self, job: &Job, status: i32) {
        for reply in &job.waiters {
            self.answer(*reply, status, &[]);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let outbox = self.outbox.next_deadline(Instant::now());
        self.jobs.next_deadline().into_iter().chain(outbox).min()
    }
}

impl Executor {
    /// Starts workers that take orders from `intake`, and the timekeeper.
    pub fn start(queue: Queue, settings: Settings, switches: Switches, intake: IntakeProcess) -> Arc<Self> {
        set_log_level(switches);
        let state = State {
            jobs: Jobs::default(),
            outbox: Outbox::new(queue),
            switches,
            armed: None,
            intake: Some(intake.pid()),
            stopping: false,
        };
        let executor = Arc::new(Executor {
            queue,
            settings,
            intake: Mutex::new(intake),
            state: Mutex::new(state),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            spawning: RwLock::new(()),
        });
        executor.add_worker();
        executor.add_worker();
        let timekeeper = Arc::clone(&executor);
        thread::spawn(move || timekeeper.keep_time());
        executor
    }

    /// Ends service. What is still queued is refused with -ENODEV; helpers get `grace` to end, then
    /// those who wait for them are answered -EINTR.
    pub fn stop(&self, grace: Duration) {
        let end = Instant::now() + grace;
        let mut state = self.lock();
        state.stopping = true;
        for job in state.jobs.abandon_waiting() {
            state.answer_all(&job, -libc::ENODEV);
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
            state.answer_all(&job, -libc::EINTR);
        }
        while !state.outbox.settled() && Instant::now() < end {
            state.outbox.tend(Instant::now());
            state = self.wait_until(state, Some(Instant::now() + Duration::from_millis(10)));
        }
    }

    fn add_worker(self: &Arc<Self>) {
        self.idle.fetch_add(1, Ordering::AcqRel);
        let worker = Arc::clone(self);
        thread::spawn(move || worker.work());
    }

    /// The life of a worker: one order after another, until others can do without it.
    fn work(self: Arc<Self>) {
        while let Some(order) = self.next_order() {
            if self.idle.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.add_worker();
            }
            self.carry_out(order);
            if self.idle.fetch_add(1, Ordering::AcqRel) >= IDLE_WORKERS {
                break;
            }
        }
        self.idle.fetch_sub(1, Ordering::AcqRel);
    }

    /// Waits for an order; `None` when there will be no more.
    fn next_order(&self) -> Option<Order> {
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match intake.receive() {
                Received::Message(FromIntake::Order(order)) => return Some(order),
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

    fn carry_out(&self, Order { reply, verdict }: Order) {
        match verdict {
            Ok(Action::Load(name)) => self.submit(Task::Load(name), reply),
            Ok(Action::Unload(name)) => self.release(Task::Unload(name), reply),
            Ok(Action::Status(words)) => self.tell_status(&words, reply),
            Ok(Action::Unknown(command)) => {
                warn!("{command} is not served");
                self.answer(reply, 1);
            }
            Err(refusal) => self.refuse(&refusal, reply),
        }
    }

    fn refuse(&self, refusal: &Refusal, reply: ReplyTo) {
        warn!("refused: {refusal}");
        self.answer(reply, -refusal.errno);
    }

    fn release(&self, task: Task, reply: ReplyTo) {
        if self.lock().switches.keep {
            debug!("{task}: ignored, keep is set");
            return self.answer(reply, 0);
        }
        self.submit(task, reply);
    }

    fn submit(&self, task: Task, reply: ReplyTo) {
        debug!("{task} from pid {}", reply.pid);
        let mut state = self.lock();
        if state.stopping {
            state.answer(reply, -libc::ENODEV, &[]);
            return;
        }
        match state.jobs.submit(task, reply, Instant::now()) {
            Submitted::Start(id) => {
                drop(state);
                self.run(id);
            }
            Submitted::Joined => {}
            Submitted::Waits => self.rearm(state),
        }
    }

    /// Runs a job and then those that waited for its place.
    fn run(&self, first: JobId) {
        let mut next = Some(first);
        while let Some(id) = next {
            let status = self.run_helper(id);
            let mut state = self.lock();
            let (job, waiting) = state.jobs.finish(id);
            if let Some(job) = job {
                state.answer_all(&job, status);
                debug!("{} ended with status {status}", job.task);
            }
            if state.stopping {
                self.changed.notify_all();
            }
            next = waiting;
            self.rearm(state);
        }
    }

    /// Runs a job's helper to its end; its status as the answer carries it.
    fn run_helper(&self, id: JobId) -> i32 {
        let Some((task, trigger)) = self.lock().jobs.get(id).map(|job| (job.task.clone(), job.trigger()))
        else {
            return -libc::EINTR;
        };
        let helper = match kmod::helper(self.settings.modprobe.as_deref()) {
            Ok(path) => task.helper(&path, trigger),
            Err(refusal) => {
                warn!("{task}: {refusal}");
                return -refusal.errno;
            }
        };
        if self.settings.dry_run {
            info!("would run {helper}");
            return 0;
        }
        debug!("{task}: running {helper}");
        let spawned = {
            let _shared = self.spawning.read().unwrap_or_else(PoisonError::into_inner);
            helper::spawn(&helper)
        };
        match spawned {
            Ok(child) => {
                self.lock().jobs.started(id, child.id());
                helper::wait(child)
            }
            Err(errno) => {
                warn!("cannot run {}: {}", helper.path.display(), std::io::Error::from_raw_os_error(errno));
                -errno
            }
        }
    }

    fn tell_status(&self, words: &str, reply: ReplyTo) {
        let mut state = self.lock();
        let mut flushed = None;
        for word in words.split_whitespace() {
            if word == "flush" {
                *flushed.get_or_insert(0) += self.flush(&state.outbox);
            } else if !state.switches.set(word) {
                debug!("kdstat's word {word:?} says nothing: ignored");
            }
        }
        set_log_level(state.switches);
        let text = render(&state.switches, flushed, state.jobs.newest_first());
        state.answer(reply, 0, text.as_bytes());
        self.rearm(state);
    }

    /// Drops what nobody here serves; requests and answers that clients wait for go back.
    fn flush(&self, outbox: &Outbox) -> usize {
        let mut kept = Vec::new();
        let mut dropped = 0;
        let mut buffer = Buffer::default();
        let waiting = self.queue.stat().map_or(0, |stat| stat.messages);
        for _ in 0..waiting {
            if self.queue.try_receive(Select::Any, &mut buffer) != Ok(true) {
                break;
            }
            if buffer.mtype() <= 255 || outbox.owns(buffer.mtype()) {
                kept.push((buffer.mtype(), buffer.mtext().to_vec()));
            } else {
                dropped += 1;
            }
        }
        for (mtype, mtext) in kept {
            if let Err(errno) = self.queue.send(mtype, &mtext) {
                warn!("flush could not put a message of type {mtype} back: {}", errno.desc());
            }
        }
        dropped
    }

    fn answer(&self, reply: ReplyTo, status: i32) {
        let mut state = self.lock();
        state.answer(reply, status, &[]);
        self.rearm(state);
    }

    /// Does what is due by the clock, for as long as the daemon lives.
    fn keep_time(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            for job in state.jobs.expire(now) {
                warn!("{} found no free place among {} helpers", job.task, state.jobs.running());
                state.answer_all(&job, -libc::ETIME);
            }
            state.outbox.tend(now);
            let deadline = state.next_deadline();
            state.armed = deadline;
            state = self.wait_until(state, deadline);
        }
    }

    /// Wakes the timekeeper if something is due before it would look by itself.
    fn rearm(&self, state: MutexGuard<'_, State>) {
        let due = state.next_deadline();
        if due.is_some_and(|due| state.armed.is_none_or(|armed| due < armed)) {
            self.changed.notify_all();
        }
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
