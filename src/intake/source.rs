//! Where orders come from: the ring, and whichever intake fills it. Takes only what makes sense, and ends an
//! intake that sends anything else, or nothing although messages wait.
#![forbid(unsafe_code)]

use super::process::{Changing, Hold, IntakeProcess, Plan};
use super::silence::{Silence, Step};
use crate::order::action::Order;
use crate::order::message::Served;
use crate::order::ring::{Position, Reader};
use kerneld_protocol::queue::CAPACITY;
use log::{error, warn};
use std::fmt::Display;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Intakes in a row that may crash at the same message, before it is set aside.
const TRIES: u32 = 3;

/// The longest pause before the next of many intakes that passed nothing on.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Useless intakes in a row after which another one is of no use either: some minutes.
const USELESS: u32 = 40;

/// What the executor learns next.
pub(crate) enum Next {
    /// A request; the ring keeps it until [`Source::taken`].
    Order(Order),
    /// The intake has ended, and nothing is left of what it passed on.
    Ended,
}

/// The executor's end of the intake.
pub(crate) struct Source {
    plan: Plan,
    reader: Reader<'static>,
    intake: IntakeProcess,
    text: Box<[u8; CAPACITY]>,
    silence: Silence,
    /// The first number that the journal has not given yet at our start: messages with a lower one were
    /// written down by a daemon before us.
    first: u64,
    /// Intakes in a row that passed nothing on.
    useless: u32,
    /// Intakes in a row that crashed without having passed anything on.
    crashes: u32,
}

impl Source {
    /// Starts an intake that goes on at `position` of the ring.
    ///
    /// # Errors
    /// A sentence that says why it did not get ready.
    pub(crate) fn start(plan: Plan, position: Position, first: u64) -> Result<Self, String> {
        let reader = Reader::new(plan.memory.ring(), position);
        let intake = IntakeProcess::start(&plan, reader.hand_over())
            .map_err(|end| format!("cannot start the intake: {}", end.why))?;
        let silence = Silence::new(Instant::now());
        Ok(Source {
            plan,
            reader,
            intake,
            text: Box::new([0; CAPACITY]),
            silence,
            first,
            useless: 0,
            crashes: 0,
        })
    }

    /// A hold on the running intake for other threads.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        Arc::clone(self.intake.hold())
    }

    /// What other threads may change for the next intake.
    pub(crate) fn changing(&self) -> Arc<RwLock<Changing>> {
        Arc::clone(&self.plan.changing)
    }

    /// Waits for what comes next.
    pub(crate) fn next(&mut self) -> Next {
        loop {
            let served = Served::new(self.plan.only_type, self.plan.now().persist);
            let ended = self.intake.hold().ended();
            match self.reader.take(&mut self.text) {
                Ok(Some(message)) if (1..self.first).contains(&message.request) => self.reader.free(),
                Ok(Some(message)) => match order(served, message.mtype, message.mtext) {
                    Ok(order) => return Next::Order(order),
                    Err(why) => {
                        self.reader.free();
                        self.end(&why);
                    }
                },
                Ok(None) if ended => return Next::Ended,
                Ok(None) => self.wait(),
                Err(nonsense) => {
                    self.end(&nonsense);
                    while !self.intake.hold().ended() {
                        self.reader.wait(Some(Duration::from_millis(20)), || false);
                    }
                    self.reader.renew();
                    return Next::Ended;
                }
            }
        }
    }

    /// Writes next to the latest order which number the journal is about to give it.
    pub(crate) fn note(&self, request: u64) {
        self.reader.note(request);
    }

    /// The latest order is in the journal: the ring need not keep it.
    pub(crate) fn taken(&mut self) {
        (self.useless, self.crashes) = (0, 0);
        self.reader.free();
    }

    /// Starts another intake in place of one that has ended.
    ///
    /// # Errors
    /// A sentence, when many in a row have been of no use.
    pub(crate) fn replace(&mut self) -> Result<(), String> {
        let mut ended = self.intake.reap();
        loop {
            self.useless += 1;
            if self.plan.queue.renew().map_err(|error| error.to_string())? {
                self.plan.memory.ring().set_queue(self.plan.queue.now().id());
                self.useless = 1;
            }
            self.crashes += u32::from(ended.crashed);
            error!("the intake ended ({}): starting another", ended.why);
            if self.useless > USELESS {
                return Err(format!(
                    "{USELESS} intakes in a row have ended without having passed anything on"
                ));
            }
            thread::sleep(rest(self.useless));
            let position = self.reader.hand_over();
            if self.crashes >= TRIES {
                self.crashes = 0;
                self.set_aside(position);
            }
            match IntakeProcess::start(&self.plan, position) {
                Ok(intake) => {
                    self.intake = intake;
                    self.silence = Silence::new(Instant::now());
                    return Ok(());
                }
                Err(end) => ended = end,
            }
        }
    }

    fn set_aside(&self, position: Position) {
        if let Some((mtype, text)) = self.reader.set_aside(position) {
            let start = text[..text.len().min(64)].escape_ascii();
            error!(
                "set a message of type {mtype} aside at which {TRIES} intakes have crashed; of its {} bytes \
                 the first are '{start}'",
                text.len()
            );
        }
    }

    /// Waits for the bell, and now and then asks whether the intake still reads.
    fn wait(&mut self) {
        let hold = Arc::clone(self.intake.hold());
        self.reader.wait(Some(self.silence.left(Instant::now())), || hold.ended());
        let now = Instant::now();
        let queued = || self.plan.queue.now().stat().is_ok_and(|stat| stat.messages > 0);
        let waiting = || self.reader.is_half_done() || queued();
        match self.silence.step(now, |question| hold.has_emptied(question), waiting) {
            Step::Nothing => {}
            Step::Ask => self.silence.asked(hold.ask(), now),
            Step::AskAgain => hold.nudge(),
            Step::End => self.end(&"nothing, although messages wait"),
        }
    }

    fn end(&self, why: &dyn Display) {
        warn!("the intake sent what a sound intake never sends ({why}): ending it");
        self.intake.hold().kill();
    }
}

/// The order in a message that an intake may pass on.
fn order(served: Served, mtype: i64, mtext: &[u8]) -> Result<Order, String> {
    if !served.select.takes(mtype) {
        return Err(format!("a message of type {mtype}"));
    }
    served.order(mtype, mtext).map_err(|malformed| malformed.to_string())
}

/// How long to wait after so many useless intakes in a row: not at all after one, since that may have been an
/// accident.
fn rest(useless: u32) -> Duration {
    match useless {
        0 | 1 => Duration::ZERO,
        more => LONGEST_REST.min(Duration::from_millis(10) * 2u32.saturating_pow((more - 2).min(16))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_from_nothing_to_the_longest() {
        let rests: Vec<_> = (1..=4).map(|useless| rest(useless).as_millis()).collect();
        assert_eq!(rests, [0, 10, 20, 40]);
        assert_eq!(rest(u32::MAX), LONGEST_REST);
        let all: Duration = (1..=USELESS).map(rest).sum();
        assert!(all > Duration::from_secs(120), "{all:?}");
    }
}
