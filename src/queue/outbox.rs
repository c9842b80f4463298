//! Answers on their way: sent without ever blocking, tried again while the queue is full, and taken back
//! if nobody fetches them, as the 2.0 kernel dropped old messages from a full queue (`ipc/msg.c`).
#![forbid(unsafe_code)]

use super::ownership::OwnQueue;
use crate::order::task::Waiter;
use kerneld_protocol::queue::Select;
use log::warn;
use nix::errno::Errno;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer may lie unfetched (`ipc/msg.c`, Linux 2.0).
const ANSWER_LIFE: Duration = Duration::from_secs(10);

/// How long an answer may wait for room: long enough for a queue that strangers filled to be cleared
/// (`foreign`), since its client waits.
const UNSENT_LIFE: Duration = Duration::from_secs(60);

/// How often a full queue is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Answers in a row that may find no room before the others are left for the next try: they are hardly
/// smaller.
const TRIES: usize = 16;

/// Each time that this many more answers have been sent, an empty queue is looked for, to forget them.
const FORGET_FROM: usize = 1024;

/// An answer that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The request.
    pub(crate) waiter: Waiter,
    /// The job that carried it out, if a helper did; the journal names it by its first request.
    pub(crate) job: Option<u64>,
    /// Its status.
    pub(crate) status: i32,
    /// Its text.
    pub(crate) text: Vec<u8>,
}

/// Answers not yet known to have been fetched. What it does in one call takes a bounded time, however many
/// there are.
pub(crate) struct Outbox {
    queue: Arc<OwnQueue>,
    /// In the order in which they were due.
    unsent: VecDeque<(Instant, Due)>,
    /// Ids of answers sent, with when, the oldest first.
    sent: VecDeque<(Instant, i32)>,
    /// How often each id is among them.
    by_id: HashMap<i32, usize>,
}

impl Outbox {
    /// An outbox onto a queue.
    pub(crate) fn new(queue: Arc<OwnQueue>) -> Self {
        Outbox { queue, unsent: VecDeque::new(), sent: VecDeque::new(), by_id: HashMap::new() }
    }

    /// Answers a request, now or as soon as there is room; the answer, once nothing more is to be done.
    pub(crate) fn answer(&mut self, due: Due, now: Instant) -> Option<Due> {
        if self.send(&due, now) {
            return Some(due);
        }
        self.unsent.push_back((now, due));
        None
    }

    /// Tries again what found no room, and drops what waited too long; what is done with.
    pub(crate) fn try_again(&mut self, now: Instant) -> Vec<Due> {
        let (mut still, mut done) = (VecDeque::new(), Vec::new());
        while still.len() < TRIES
            && let Some((since, due)) = self.unsent.pop_front()
        {
            let late = now.duration_since(since) >= UNSENT_LIFE;
            if late {
                let (id, seconds) = (due.waiter.reply.id, UNSENT_LIFE.as_secs());
                warn!("the queue stayed full for {seconds} s: dropped the answer to id {id}");
            }
            if late || self.send(&due, now) {
                done.push(due);
            } else {
                still.push_back((since, due));
            }
        }
        still.append(&mut self.unsent);
        self.unsent = still;
        done
    }

    /// Takes back the oldest answer, if it has not been fetched in time; whether there may be another one
    /// like that.
    pub(crate) fn take_back_one(&mut self, now: Instant) -> bool {
        let Some((_, id)) = self.sent.front().copied().filter(|(sent, _)| now >= *sent + ANSWER_LIFE) else {
            return false;
        };
        if self.queue_is_empty() {
            self.forget();
            return false;
        }
        self.sent.pop_front();
        // A younger answer may wait under the same id: then both are left until its turn.
        if self.is_last_of(id)
            && self.queue.now().drain(Select::Exactly(id.into())).is_ok_and(|found| found > 0)
        {
            warn!("nobody fetched the answer to id {id} in {} s: taken back", ANSWER_LIFE.as_secs());
        }
        true
    }

    /// When [`Outbox::try_again`] or [`Outbox::take_back_one`] has something to do next.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let retry = (!self.unsent.is_empty()).then(|| now + RETRY);
        let unfetched = self.sent.front().map(|(sent, _)| *sent + ANSWER_LIFE);
        retry.into_iter().chain(unfetched).min()
    }

    /// Whether an answer of this type may still be fetched.
    pub(crate) fn owns(&self, mtype: i64) -> bool {
        i32::try_from(mtype).is_ok_and(|id| self.by_id.contains_key(&id))
    }

    /// Whether every answer has been sent, and fetched as far as is known.
    pub(crate) fn settled(&self) -> bool {
        self.unsent.is_empty() && (self.sent.is_empty() || self.queue_is_empty())
    }

    /// False when there is no room. Any other failure is final: nobody can be answered there.
    fn send(&mut self, due: &Due, now: Instant) -> bool {
        let reply = due.waiter.reply;
        let id = reply.id;
        if !reply.wanted() {
            return true;
        }
        match self.queue.now().send(i64::from(id), &reply.answer(due.status, &due.text)) {
            Ok(()) => self.remember(id, now),
            Err(Errno::EAGAIN) => return false,
            Err(errno) => warn!("cannot answer id {id}: {}", errno.desc()),
        }
        true
    }

    fn remember(&mut self, id: i32, now: Instant) {
        self.sent.push_back((now, id));
        *self.by_id.entry(id).or_default() += 1;
        if self.sent.len().is_multiple_of(FORGET_FROM) && self.queue_is_empty() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.sent = VecDeque::new();
        self.by_id = HashMap::new();
    }

    /// Counts one answer to `id` less; whether that was the last.
    fn is_last_of(&mut self, id: i32) -> bool {
        let left = self.by_id.get(&id).map_or(0, |count| count - 1);
        if left > 0 {
            self.by_id.insert(id, left);
        } else {
            self.by_id.remove(&id);
        }
        left == 0
    }

    fn queue_is_empty(&self) -> bool {
        self.queue.now().stat().is_ok_and(|stat| stat.messages == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::queue::Buffer;
    use kerneld_protocol::queue::Queue;
    use kerneld_protocol::request::ReplyTo;
    use kerneld_protocol::wire::Layout;

    fn due(id: i32) -> Due {
        let reply = ReplyTo { id, layout: Layout::Lp64Old, pid: 0 };
        Due { waiter: Waiter { request: 1, reply }, job: None, status: 0, text: Vec::new() }
    }

    fn with_queue(test: impl FnOnce(Queue)) {
        let queue = Queue::create(0, 0o600).unwrap();
        test(queue);
        queue.remove().unwrap();
    }

    #[test]
    fn an_unfetched_answer_is_taken_back_but_a_younger_one_under_its_id_stays() {
        with_queue(|queue| {
            let mut outbox = Outbox::new(Arc::new(OwnQueue::new(0, queue)));
            let start = Instant::now();
            outbox.answer(due(1000), start);
            outbox.answer(due(1001), start);
            outbox.answer(due(1001), start + ANSWER_LIFE / 2);
            while outbox.take_back_one(start + ANSWER_LIFE) {}
            assert_eq!(queue.stat().unwrap().messages, 2);
            while outbox.take_back_one(start + 2 * ANSWER_LIFE) {}
            assert_eq!(queue.stat().unwrap().messages, 0);
        });
    }

    #[test]
    fn a_full_queue_delays_answers_and_then_costs_them() {
        with_queue(|queue| {
            while queue.send(300, &[0; 1000]).is_ok() {}
            while queue.send(300, b"").is_ok() {}
            let mut outbox = Outbox::new(Arc::new(OwnQueue::new(0, queue)));
            let start = Instant::now();
            outbox.answer(due(1000), start);
            assert_eq!(outbox.next_deadline(start), Some(start + RETRY));
            queue.receive(Select::Exactly(300), &mut Buffer::default()).unwrap();
            outbox.try_again(start + RETRY);
            assert!(queue.try_receive(Select::Exactly(1000), &mut Buffer::default()).unwrap());
            while queue.send(300, b"").is_ok() {}
            outbox.answer(due(1001), start);
            outbox.try_again(start + ANSWER_LIFE);
            assert!(!outbox.unsent.is_empty());
            outbox.try_again(start + UNSENT_LIFE);
            assert!(outbox.unsent.is_empty());
        });
    }

    /// A stranger's message keeps the queue from being empty, so that no answer is forgotten early. The
    /// time that taking them back takes must not grow with their square: this would be 10^10 steps.
    #[test]
    fn a_hundred_thousand_answers_that_were_fetched_are_forgotten_one_by_one() {
        with_queue(|queue| {
            queue.send(300, b"a stranger's").unwrap();
            let mut outbox = Outbox::new(Arc::new(OwnQueue::new(0, queue)));
            let start = Instant::now();
            for id in 1000..101_000 {
                outbox.answer(due(id), start);
                queue.receive(Select::Exactly(id.into()), &mut Buffer::default()).unwrap();
            }
            assert!(outbox.owns(1000) && outbox.owns(100_999));
            let mut steps = 0;
            while outbox.take_back_one(start + ANSWER_LIFE) {
                steps += 1;
            }
            assert_eq!((steps, outbox.sent.len(), outbox.by_id.len()), (100_000, 0, 0));
        });
    }

    #[test]
    fn many_answers_without_room_are_not_all_tried_at_once() {
        with_queue(|queue| {
            while queue.send(300, b"").is_ok() {}
            let mut outbox = Outbox::new(Arc::new(OwnQueue::new(0, queue)));
            let start = Instant::now();
            assert!((1000..1100).all(|id| outbox.answer(due(id), start).is_none()), "none is done with");
            outbox.try_again(start);
            let ids: Vec<i32> = outbox.unsent.iter().map(|(_, due)| due.waiter.reply.id).collect();
            assert_eq!(ids, (1000..1100).collect::<Vec<_>>(), "in order still");
            queue.drain(Select::Exactly(300)).unwrap();
            let done = outbox.try_again(start);
            assert!(outbox.unsent.is_empty() && done.len() == 100);
        });
    }
}
