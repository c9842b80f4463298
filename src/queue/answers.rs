//! Answers: each is sent, or waits for room on the queue, and is then written into the journal.
#![forbid(unsafe_code)]

use super::outbox::Outbox;
use crate::order::task::Waiter;
use kerneld_journal::Journal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The outbox and the journal. An answer is journalled after it is sent, so that a crash in between
/// means one answer too many and not one too few.
pub(crate) struct Answers {
    outbox: Mutex<Outbox>,
    journal: Journal,
}

impl Answers {
    /// Answers by way of `outbox`, written down in `journal`.
    pub(crate) fn new(outbox: Outbox, journal: Journal) -> Self {
        Answers { outbox: Mutex::new(outbox), journal }
    }

    /// The journal, for what happens to a request before its answer.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Answers a request for which no helper ran.
    pub(crate) fn answer(&self, waiter: Waiter, status: i32, text: &[u8]) {
        self.outbox().answer(waiter.reply, status, text, Instant::now());
        self.journal.answered(waiter.request, status, text.len());
    }

    /// Answers all who wait for one helper. `took` is how long it ran, if it did.
    pub(crate) fn answer_all(&self, waiters: &[Waiter], status: i32, text: &[u8], took: Option<Duration>) {
        for waiter in waiters {
            self.outbox().answer(waiter.reply, status, text, Instant::now());
        }
        let requests = waiters.iter().map(|waiter| waiter.request);
        self.journal.finished(took, status, text.len(), requests);
    }

    /// Sees to answers that found no room and to those that nobody fetched.
    pub(crate) fn tend(&self, now: Instant) {
        self.outbox().try_again(now);
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
    /// be told.
    pub(crate) fn settle(&self, end: Instant) {
        while !self.outbox().settled() && Instant::now() < end {
            self.tend(Instant::now());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
