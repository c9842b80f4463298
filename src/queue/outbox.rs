//! Answers on their way: sent without ever blocking, retried while the queue is full, and taken back
//! when nobody fetches them, as the 2.0 kernel dropped old messages from a full channel (`ipc/msg.c`).
#![forbid(unsafe_code)]

use kerneld_protocol::queue::{Queue, Select};
use kerneld_protocol::request::ReplyTo;
use log::warn;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long an answer may lie unfetched (`ipc/msg.c`, Linux 2.0).
pub(crate) const ANSWER_LIFE: Duration = Duration::from_secs(10);

/// How long an answer may wait for room: long enough for a channel that strangers filled to be cleared
/// ([`crate::queue::foreign`]), for its client waits.
const UNSENT_LIFE: Duration = Duration::from_secs(60);

/// How often a full queue is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// More answers sent than this, and an empty queue is looked for, to forget them.
const FORGET_FROM: usize = 1024;

/// Answers not yet known to have been fetched.
pub(crate) struct Outbox {
    queue: Queue,
    /// Answers that found the queue full, with when they were due.
    unsent: VecDeque<(Instant, i32, Vec<u8>)>,
    /// Ids of answers sent, with when.
    sent: VecDeque<(Instant, i32)>,
}

impl Outbox {
    /// An outbox onto a queue.
    pub(crate) fn new(queue: Queue) -> Self {
        Outbox { queue, unsent: VecDeque::new(), sent: VecDeque::new() }
    }

    /// Answers a request, now or as soon as there is room.
    pub(crate) fn answer(&mut self, reply: ReplyTo, status: i32, text: &[u8], now: Instant) {
        if !reply.wanted() {
            return;
        }
        let mtext = reply.answer(status, text);
        if !self.send(reply.id, &mtext, now) {
            self.unsent.push_back((now, reply.id, mtext));
        }
    }

    /// Tries again what found no room, drops what waited too long, takes back what nobody fetched.
    pub(crate) fn tend(&mut self, now: Instant) {
        for (since, id, mtext) in std::mem::take(&mut self.unsent) {
            if now.duration_since(since) >= UNSENT_LIFE {
                warn!("the queue stayed full for {} s: dropped the answer to id {id}", UNSENT_LIFE.as_secs());
            } else if !self.send(id, &mtext, now) {
                self.unsent.push_back((since, id, mtext));
            }
        }
        self.take_back(now);
    }

    /// When [`Outbox::tend`] has something to do next.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let retry = (!self.unsent.is_empty()).then(|| now + RETRY);
        let stale = self.sent.front().map(|(sent, _)| *sent + ANSWER_LIFE);
        retry.into_iter().chain(stale).min()
    }

    /// Whether an answer of this type is waited for.
    pub(crate) fn owns(&self, mtype: i64) -> bool {
        self.sent.iter().any(|(_, id)| i64::from(*id) == mtype)
    }

    /// Whether every answer has been sent, and fetched as far as can be told.
    pub(crate) fn settled(&self) -> bool {
        self.unsent.is_empty() && (self.sent.is_empty() || self.queue_is_empty())
    }

    /// False when there is no room. Any other failure is final: nobody can be answered there.
    fn send(&mut self, id: i32, mtext: &[u8], now: Instant) -> bool {
        match self.queue.send(i64::from(id), mtext) {
            Ok(()) => self.remember(id, now),
            Err(Errno::EAGAIN) => return false,
            Err(errno) => warn!("cannot answer id {id}: {}", errno.desc()),
        }
        true
    }

    fn remember(&mut self, id: i32, now: Instant) {
        self.sent.push_back((now, id));
        if self.sent.len().is_multiple_of(FORGET_FROM) && self.queue_is_empty() {
            self.sent.clear();
        }
    }

    fn take_back(&mut self, now: Instant) {
        if !self.sent.is_empty() && self.queue_is_empty() {
            self.sent.clear();
        }
        while let Some((_, id)) = self.sent.front().copied().filter(|(sent, _)| now >= *sent + ANSWER_LIFE) {
            self.sent.pop_front();
            // A younger answer may wait under the same id: leave both to its turn.
            if !self.owns(i64::from(id)) && self.discard(id) {
                warn!("nobody fetched the answer to id {id} in {} s: taken back", ANSWER_LIFE.as_secs());
            }
        }
    }

    fn discard(&self, id: i32) -> bool {
        self.queue.drain(Select::Exactly(i64::from(id))).is_ok_and(|dropped| dropped > 0)
    }

    fn queue_is_empty(&self) -> bool {
        self.queue.stat().is_ok_and(|stat| stat.messages == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::queue::Buffer;
    use kerneld_protocol::wire::Layout;

    fn reply(id: i32) -> ReplyTo {
        ReplyTo { id, layout: Layout::Lp64Old, pid: 0 }
    }

    fn with_queue(test: impl FnOnce(Queue)) {
        let queue = Queue::create(0, 0o600).unwrap();
        test(queue);
        queue.remove().unwrap();
    }

    #[test]
    fn an_unfetched_answer_is_taken_back_but_a_younger_one_under_its_id_stays() {
        with_queue(|queue| {
            let mut outbox = Outbox::new(queue);
            let start = Instant::now();
            outbox.answer(reply(1000), 0, b"", start);
            outbox.answer(reply(1001), 0, b"", start);
            outbox.answer(reply(1001), 0, b"", start + ANSWER_LIFE / 2);
            outbox.tend(start + ANSWER_LIFE);
            assert_eq!(queue.stat().unwrap().messages, 2);
            outbox.tend(start + 2 * ANSWER_LIFE);
            assert_eq!(queue.stat().unwrap().messages, 0);
        });
    }

    #[test]
    fn a_full_queue_delays_answers_and_then_costs_them() {
        with_queue(|queue| {
            while queue.send(300, &[0; 1000]).is_ok() {}
            while queue.send(300, b"").is_ok() {}
            let mut outbox = Outbox::new(queue);
            let start = Instant::now();
            outbox.answer(reply(1000), 0, b"", start);
            assert_eq!(outbox.next_deadline(start), Some(start + RETRY));
            queue.receive(Select::Exactly(300), &mut Buffer::default()).unwrap();
            outbox.tend(start + RETRY);
            assert!(queue.try_receive(Select::Exactly(1000), &mut Buffer::default()).unwrap());
            while queue.send(300, b"").is_ok() {}
            outbox.answer(reply(1001), 0, b"", start);
            outbox.tend(start + ANSWER_LIFE);
            assert!(!outbox.unsent.is_empty());
            outbox.tend(start + UNSENT_LIFE);
            assert!(outbox.unsent.is_empty());
        });
    }
}
