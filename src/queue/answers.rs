//! Answers: each is sent, or waits for room on the queue, and is then written into the journal. Those that a
//! daemon before us may have given already are held back until it is known whether their client waits.
#![forbid(unsafe_code)]

use super::doubts::{Doubt, Doubts, Seen, Verdict};
use super::outbox::{Due, Outbox};
use crate::order::task::Waiter;
use kerneld_journal::Journal;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The outbox and the journal. An answer is journalled after it is sent; what a crash in between leaves open
/// is found out ([`Doubts`]).
pub(crate) struct Answers {
    outbox: Mutex<Outbox>,
    journal: Journal,
    doubts: Mutex<Doubts>,
    /// Signalled when an answer is held back.
    held: Condvar,
}

impl Answers {
    /// Answers by way of `outbox`, written down in `journal`.
    pub(crate) fn new(outbox: Outbox, journal: Journal) -> Self {
        let (outbox, doubts) = (Mutex::new(outbox), Mutex::new(Doubts::default()));
        Answers { outbox, journal, doubts, held: Condvar::new() }
    }

    /// The journal, for what happens to a request before its answer.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Answers a request for which no helper ran.
    pub(crate) fn answer(&self, waiter: Waiter, status: i32, text: &[u8]) {
        self.send(Due { waiter, job: None, status, text: text.to_vec() }).inspect(|done| self.close(done));
    }

    /// Answers all who wait for one helper. `took` is how long it ran, if it did.
    pub(crate) fn answer_all(&self, waiters: &[Waiter], status: i32, text: &[u8], took: Option<Duration>) {
        let Some(job) = waiters.first().map(|waiter| waiter.request) else { return };
        let due = |waiter: &Waiter| Due { waiter: *waiter, job: Some(job), status, text: text.to_vec() };
        let done: Vec<Due> = waiters.iter().filter_map(|waiter| self.send(due(waiter))).collect();
        let requests = done.iter().map(|due| due.waiter.request);
        self.journal.finished(job, took, status, text.len(), requests);
    }

    /// What is done with, of one that is to be sent.
    fn send(&self, due: Due) -> Option<Due> {
        let due = self.doubts().hold(due);
        match due {
            Some(due) => self.outbox().answer(due, Instant::now()),
            None => {
                self.held.notify_all();
                None
            }
        }
    }

    /// Writes down that nothing more is to be done for a request.
    fn close(&self, Due { waiter, job, status, text }: &Due) {
        match job {
            Some(job) => self.journal.finished(*job, None, *status, text.len(), [waiter.request]),
            None => self.journal.answered(waiter.request, *status, text.len()),
        }
    }

    /// From now on it is in doubt whether these requests have been answered.
    pub(crate) fn doubt(&self, doubts: impl IntoIterator<Item = Doubt>) {
        *self.doubts() = Doubts::new(doubts);
    }

    /// A client asks under this id just now; the number that its request will have in the journal.
    pub(crate) fn next_request(&self, id: i32) -> u64 {
        self.doubts().renewed(id);
        self.journal.next_request()
    }

    /// Waits until answers are held back; false when nothing is in doubt any more.
    pub(crate) fn wait_for_held(&self) -> bool {
        let mut doubts = self.doubts();
        while !doubts.any_held() && !doubts.is_empty() {
            doubts = self.held.wait(doubts).unwrap_or_else(PoisonError::into_inner);
        }
        !doubts.is_empty()
    }

    /// Gives the answers that are owed, as far as what is seen decides it.
    pub(crate) fn decide_held(&self, seen: &Seen) {
        let verdicts = self.doubts().decide(seen);
        for verdict in verdicts {
            match verdict {
                Verdict::Owed(due) => {
                    drop(self.outbox().answer(due, seen.now).inspect(|done| self.close(done)))
                }
                Verdict::Settled(due) => self.close(&due),
            }
        }
    }

    /// Sees to answers that found no room and to those that nobody fetched.
    pub(crate) fn tend(&self, now: Instant) {
        let done = self.outbox().try_again(now);
        done.iter().for_each(|done| self.close(done));
        // The lock is free in between, for those who answer.
        while self.outbox().take_back_one(now) {}
    }

    /// When [`Answers::tend`] has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.outbox().next_deadline(Instant::now())
    }

    /// Whether an answer of this type may lie on the queue.
    pub(crate) fn owns(&self, mtype: i64) -> bool {
        self.outbox().owns(mtype)
    }

    /// Sends what can be sent until `end`, or until every answer has been sent, and fetched as far as can
    /// be known.
    pub(crate) fn settle(&self, end: Instant) {
        let settled = || !self.doubts().any_held() && self.outbox().settled();
        while !settled() && Instant::now() < end {
            self.tend(Instant::now());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
