//! The privileged half: takes orders from the intake, runs helpers, answers.
//!
//! Three threads, and a request passes through two of them: one takes orders and starts helpers, one
//! learns of the helpers' ends and answers; the third does what is due by time. What may take long has a
//! thread of its own. What they do is in `life`.
#![forbid(unsafe_code)]

mod decision;
pub(crate) mod delays;
mod due;
pub(crate) mod jobs;
pub(crate) mod life;
pub(crate) mod persist;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod work;

use crate::intake::process::{Changing, Hold};
use crate::intake::source::{Next, Source};
use crate::intake::told::Told;
use crate::order::action::Order;
use crate::queue::doubts::{Seen, Sender};
use crate::queue::foreign::ForeignMessages;
use crate::threads;
use kerneld_protocol::queue::Select;
use kerneld_protocol::sender::Senders;
use kerneld_protocol::waiting::{awaited, settle};
use life::Life;
use log::{error, warn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// How often the intake is asked to end: it may be just about to wait for a message.
const REMINDER: Duration = Duration::from_millis(20);

/// How long it may take to take in what waits.
const REQUESTS_ARE_IN: Duration = Duration::from_secs(2);

/// An intake that has not ended after this time is killed.
const HEARING: Duration = Duration::from_secs(1);

/// The executor: a [`Life`] and the threads that live it.
pub(crate) struct Executor {
    life: Arc<Life>,
    changing: Arc<RwLock<Changing>>,
    state: Mutex<State>,
    /// Signalled when the intake has ended.
    intake_ended: Condvar,
}

struct State {
    /// The intake, until it is reaped.
    intake: Option<Arc<Hold>>,
    /// Another intake is being started, for which the queue may be made anew.
    replacing: bool,
    stopping: bool,
    /// Why service had to end.
    failure: Option<String>,
}

impl Executor {
    /// Starts its threads, which take orders from `source`.
    ///
    /// # Errors
    /// A sentence, when the system has no thread left.
    pub(crate) fn start(
        life: Arc<Life>,
        mut foreign: ForeignMessages,
        source: Source,
    ) -> Result<Arc<Self>, String> {
        let state = State { intake: Some(source.hold()), replacing: false, stopping: false, failure: None };
        let changing = source.changing();
        let (state, intake_ended) = (Mutex::new(state), Condvar::new());
        let executor = Arc::new(Executor { life, changing, state, intake_ended });
        executor.thread("clock", move |executor| {
            let life = &executor.life;
            life.keep_time(|now| foreign.look(now, |mtype| life.is_ours(mtype)));
        })?;
        executor.thread("ends", |executor| {
            if let Err(why) = executor.life.await_ends() {
                executor.give_up(&why);
            }
        })?;
        executor.thread("orders", |executor| executor.take_orders(source))?;
        executor.thread("doubts", |executor| executor.settle_doubts())?;
        Ok(executor)
    }

    /// Without one of these threads a daemon would take requests and never answer: it gives up.
    fn thread(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Result<(), String> {
        let (executor, left) = (Arc::clone(self), Arc::clone(self));
        threads::start(name, move || work(&executor), move || left.give_up("a thread has panicked"))
            .map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// Ends service. What is still queued is refused with -ENODEV; delayed releases are answered
    /// -EINTR; helpers get `grace` to end, then those who wait for them are answered -EINTR.
    pub(crate) fn stop(&self, grace: Duration) {
        let end = Instant::now() + grace;
        self.lock().stopping = true;
        self.life.close();
        self.stop_intake(end);
        self.life.wait_for_end(end);
    }

    /// Why service had to end, if it is not the admin who ended it.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn stop_intake(&self, end: Instant) {
        let deaf = Instant::now() + HEARING;
        let wait =
            |state| self.intake_ended.wait_timeout(state, REMINDER).unwrap_or_else(PoisonError::into_inner).0;
        let mut state = self.lock();
        while state.replacing && Instant::now() < end {
            state = wait(state);
        }
        if let Some(intake) = &state.intake {
            // It may have been stopped by a signal, and hears nothing then.
            intake.resume();
            let _ = intake.tell(Told::Stop);
        }
        while let Some(intake) = &state.intake
            && Instant::now() < end
        {
            if Instant::now() < deaf {
                intake.nudge()
            } else {
                intake.kill()
            }
            state = wait(state);
        }
    }

    /// Lets the intake know of other settings; for another user it takes another intake.
    pub(crate) fn change_intake(&self, changing: Changing) {
        let before =
            std::mem::replace(&mut *self.changing.write().unwrap_or_else(PoisonError::into_inner), changing);
        let Some(intake) = self.lock().intake.clone() else { return };
        let word = if before.user == changing.user { Told::Persist(changing.persist) } else { Told::Stop };
        if let Err(why) = intake.tell(word) {
            warn!("{why}");
        }
        intake.nudge();
    }

    /// Finds out who still waits for answers that a daemon before us may have given.
    fn settle_doubts(&self) {
        let answers = &self.life.answers;
        while answers.wait_for_held() {
            let awaited = awaited(self.life.queue.now().id());
            // Whoever is seen to wait may do so for the answer to a request that is still on its way.
            if self.requests_are_in() {
                let lies =
                    |mtype| self.life.queue.now().drain(Select::Exactly(mtype)).is_ok_and(|found| found > 0);
                let seen = Seen { now: Instant::now(), awaited: &awaited, lies: &lies, state: &Sender::of };
                answers.decide_held(&seen);
            }
            thread::sleep(REMINDER);
        }
    }

    /// Waits until every request sent until now has been taken; false when that cannot be found out.
    fn requests_are_in(&self) -> bool {
        let (intake, stopping) = {
            let state = self.lock();
            (state.intake.clone(), state.stopping)
        };
        intake.map_or(stopping, |intake| intake.hand_over_all(REQUESTS_ARE_IN))
    }

    /// Takes orders, one at a time and in order, until there will be no more.
    fn take_orders(&self, mut source: Source) {
        let mut senders = Senders::default();
        loop {
            match source.next() {
                Next::Order(order) => {
                    let order = self.settled(order);
                    let waiter = self.life.take(&order, &mut senders, |number| source.note(number));
                    source.taken();
                    self.life.decide(order.verdict, waiter);
                }
                Next::Ended if self.replace(&mut source) => {}
                Next::Ended => return,
            }
        }
    }

    /// The order in its sender's layout. Some requests' bytes leave the layout open; then the programs that wait
    /// for answers decide.
    fn settled(&self, mut order: Order) -> Order {
        let Life { queue, served, .. } = &*self.life;
        let other = order.reply.other_reading(&order.text).filter(|other| !served.takes(other.id.into()));
        if let Some(other) = other {
            let queue = queue.now();
            let last_sender = queue.stat().ok().map(|stat| stat.last_sender);
            let byte_order = self.life.settings().byte_order;
            order.reply = settle([order.reply, other], byte_order, queue.id(), last_sender);
        }
        order
    }

    /// Starts a new intake in place of one that ended; false when stopping or when it cannot be had.
    fn replace(&self, source: &mut Source) -> bool {
        let stopping = {
            let mut state = self.lock();
            state.intake = None;
            state.replacing = !state.stopping;
            state.stopping
        };
        self.intake_ended.notify_all();
        if stopping {
            return false;
        }
        let before = self.life.queue.now();
        let replaced = source.replace();
        let queue = self.life.queue.now();
        if queue != before {
            self.life.answers.journal().serves(queue.id());
        }
        {
            let mut state = self.lock();
            state.intake = replaced.is_ok().then(|| source.hold());
            state.replacing = false;
        }
        if let Err(why) = &replaced {
            self.give_up(why);
        }
        replaced.is_ok()
    }

    /// Ends the daemon in order: its main thread waits for this signal.
    fn give_up(&self, why: &str) {
        error!("{why}: giving up");
        self.lock().failure = Some(why.to_owned());
        let _ = kill(Pid::this(), Signal::SIGTERM);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
