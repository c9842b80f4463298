//! What is where in the memory, and what both ends do with it.
#![forbid(unsafe_code)]

use super::bell::Bell;
use super::slot::{self, Slot, WORDS as SLOT};
use kerneld_protocol::queue::CAPACITY;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};

/// Messages that may wait in the ring; a power of two. More wait on the queue.
pub(super) const SLOTS: u32 = 16;

/// Says that the memory is a ring of this layout.
const MAGIC: u32 = 0x6b64_0100 | SLOTS;

// Words of the ring's head.
const MAGIC_AT: usize = 0;
const QUEUE_AT: usize = 1;
const BELL_AT: usize = 2;
const ROOM_AT: usize = 4;
const ASKED_AT: usize = 6;
const EMPTIED_AT: usize = 7;
const READY_AT: usize = 8;
const HEAD: usize = 16;

/// Words of a whole ring.
pub(crate) const WORDS: usize = HEAD + SLOTS as usize * SLOT;

const _: () = assert!(SLOTS.is_power_of_two() && HEAD.is_multiple_of(slot::ALIGNED_WORDS));

/// A view of the memory.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a>(&'a [AtomicU32]);

/// Where in the endless row of messages one stands; wraps after 2^31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position(pub(super) u32);

impl Position {
    pub(super) fn next(self) -> Self {
        self.ahead(1)
    }

    pub(super) fn ahead(self, by: u32) -> Self {
        Position(self.0.wrapping_add(by) & (u32::MAX >> 1))
    }

    pub(super) fn slot(self) -> usize {
        (self.0 % SLOTS) as usize
    }

    /// The turn of a slot that waits for the message of this position.
    pub(super) fn free(self) -> u32 {
        self.0 << 1
    }

    /// The turn of a slot that holds it.
    pub(super) fn full(self) -> u32 {
        self.0 << 1 | 1
    }
}

impl<'a> Ring<'a> {
    /// The ring in `words`, which begin at a page boundary.
    ///
    /// # Panics
    /// If these are fewer than [`WORDS`].
    pub(crate) fn new(words: &'a [AtomicU32]) -> Self {
        Ring(&words[..WORDS])
    }

    /// Makes an empty ring of whatever is there, for the queue of this id.
    pub(crate) fn reset(self, queue: i32) {
        self.store(MAGIC_AT, 0);
        for word in &self.0[MAGIC_AT + 1..HEAD] {
            word.store(0, Ordering::Relaxed);
        }
        self.store(QUEUE_AT, queue.cast_unsigned());
        self.renew(Position(0));
        self.store(MAGIC_AT, MAGIC);
    }

    /// Says that the messages to come are those of another queue.
    pub(crate) fn set_queue(self, queue: i32) {
        self.store(QUEUE_AT, queue.cast_unsigned());
    }

    /// Where a killed executor stopped taking, if this is a ring for `queue` that makes sense.
    pub(crate) fn resume(self, queue: i32) -> Option<Position> {
        let ours = self.load(MAGIC_AT) == MAGIC && self.load(QUEUE_AT) == queue.cast_unsigned();
        let turns = std::array::from_fn(|slot| self.slot(slot).turn());
        ours.then(|| oldest(&turns)).flatten()
    }

    /// Empties every slot; the message of `next` will be the first.
    pub(crate) fn renew(self, next: Position) {
        for ahead in 0..SLOTS {
            let position = next.ahead(ahead);
            let slot = self.slot(position.slot());
            slot.clear(CAPACITY);
            slot.set_turn(position.free());
        }
    }

    /// Clears the slots that wait for messages, except one that a killed intake has left half written.
    /// Their memory is then as an intake expects it, whatever the one before it has done there.
    pub(super) fn tidy(self, from: Position, next: Position) {
        let free = (0..SLOTS).map(|ahead| next.ahead(ahead)).skip_while(|position| *position != from);
        for position in free {
            let slot = self.slot(position.slot());
            if slot.turn() == position.free() && (slot.mtype() == 0 || position != from) {
                slot.clear(CAPACITY);
            }
        }
    }

    /// The first position from `next` on whose message has not been passed on: where an intake begins.
    pub(crate) fn unwritten(self, next: Position) -> Position {
        let positions = (0..SLOTS).map(|ahead| next.ahead(ahead));
        let full = positions.take_while(|position| self.slot(position.slot()).turn() == position.full());
        next.ahead(full.count() as u32)
    }

    /// The messages that have been passed on and not been taken yet.
    pub(crate) fn passed_on(self) -> Vec<u32> {
        let turns = (0..SLOTS as usize).map(|slot| self.slot(slot).turn());
        turns.filter(|turn| turn & 1 == 1).collect()
    }

    /// Asks the intake to say when everything that waits on the queue now is in the ring: when
    /// [`Ring::emptied`] has come to the number that this returns.
    pub(crate) fn ask(self) -> u32 {
        self.0[ASKED_AT].fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// The latest question.
    pub(crate) fn asked(self) -> u32 {
        self.load(ASKED_AT)
    }

    /// The latest question that the intake has answered.
    pub(crate) fn emptied(self) -> u32 {
        self.load(EMPTIED_AT)
    }

    /// Answers a question.
    pub(crate) fn set_emptied(self, question: u32) {
        self.store(EMPTIED_AT, question);
        self.bell().ring();
    }

    /// Whether the intake is about to read the queue.
    pub(crate) fn ready(self) -> bool {
        self.load(READY_AT) != 0
    }

    /// Says that the intake is about to read the queue, or that a new one is not yet.
    pub(crate) fn set_ready(self, ready: bool) {
        self.store(READY_AT, ready.into());
        self.bell().ring();
    }

    /// Rung when a message or an answer has come.
    pub(crate) fn bell(self) -> Bell<'a> {
        Bell { count: &self.0[BELL_AT], awaited: &self.0[BELL_AT + 1] }
    }

    /// Rung when a slot has become free.
    pub(super) fn room(self) -> Bell<'a> {
        Bell { count: &self.0[ROOM_AT], awaited: &self.0[ROOM_AT + 1] }
    }

    pub(super) fn slot(self, index: usize) -> Slot<'a> {
        let start = HEAD + index * SLOT;
        Slot::new(&self.0[start..start + SLOT])
    }

    pub(super) fn load(self, at: usize) -> u32 {
        self.0[at].load(Ordering::SeqCst)
    }

    pub(super) fn store(self, at: usize, value: u32) {
        self.0[at].store(value, Ordering::SeqCst);
    }
}

/// The least position, if the turns are those of consecutive messages, the full ones first.
pub(super) fn oldest(turns: &[u32; SLOTS as usize]) -> Option<Position> {
    let fits = |first: Position| {
        let full = (0..SLOTS).take_while(|ahead| {
            let position = first.ahead(*ahead);
            turns[position.slot()] == position.full()
        });
        let full = full.count() as u32;
        (full..SLOTS).all(|ahead| {
            let position = first.ahead(ahead);
            turns[position.slot()] == position.free()
        })
    };
    turns.iter().map(|turn| Position(turn >> 1)).find(|first| fits(*first))
}
