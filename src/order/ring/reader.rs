//! The executor's end of the ring.
#![forbid(unsafe_code)]

use super::layout::{Position, Ring, SLOTS};
use super::slot::{Slot, unfilled};
use kerneld_protocol::queue::CAPACITY;
use std::fmt;
use std::time::{Duration, Instant};

/// What no intake writes: it is broken, or somebody else speaks in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// A slot is neither free nor full.
    Turn(u32),
    /// A message is longer than a slot.
    Length(u32),
    /// The bell rings although nothing came.
    Noise,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nonsense::Turn(turn) => write!(f, "a slot's turn is {turn:#x}"),
            Nonsense::Length(length) => write!(f, "a message has {length} bytes"),
            Nonsense::Noise => f.write_str("it rings although nothing came"),
        }
    }
}

/// The executor's end.
pub(crate) struct Reader<'a> {
    ring: Ring<'a>,
    pub(super) position: Position,
    /// How often the bell has rung for nothing, and since when that is counted.
    pub(super) idle: (u32, Instant),
}

/// How often a second the bell may ring for nothing: it does with each answer to a question.
pub(super) const IDLE_RINGS: u32 = 1000;

/// A message that has been copied out of the ring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken<'b> {
    /// The type, as it stood there.
    pub(crate) mtype: i64,
    /// The bytes.
    pub(crate) mtext: &'b [u8],
    /// The number that it has in the journal if a killed executor got as far as that; else 0.
    pub(crate) request: u64,
}

impl<'a> Reader<'a> {
    /// Takes from this position on.
    pub(crate) fn new(ring: Ring<'a>, position: Position) -> Self {
        Reader { ring, position, idle: (0, Instant::now()) }
    }

    /// Where an intake begins to write, once the one before it is dead. A message stays that the kernel has
    /// put there and nobody has passed on.
    pub(crate) fn hand_over(&self) -> Position {
        let from = self.ring.unwritten(self.position);
        self.ring.tidy(from, self.position);
        from
    }

    /// Drops the message that waits at `from` to be passed on, if there is one; its type and text.
    pub(crate) fn set_aside(&self, from: Position) -> Option<(i64, Vec<u8>)> {
        let slot = self.ring.slot(from.slot());
        let mtype = slot.mtype();
        if mtype == 0 || slot.turn() != from.free() {
            return None;
        }
        let mut text = vec![0; CAPACITY];
        slot.text(&mut text);
        text.truncate(unfilled(&text));
        slot.clear(CAPACITY);
        Some((mtype, text))
    }

    /// Forgets what the ring holds.
    pub(crate) fn renew(&mut self) {
        self.ring.renew(self.position);
        self.idle.0 = 0;
    }

    /// Copies the next message out; its slot stays full until [`Reader::free`].
    ///
    /// # Errors
    /// [`Nonsense`] where there is neither a message nor room for one.
    pub(crate) fn take<'b>(&self, text: &'b mut [u8; CAPACITY]) -> Result<Option<Taken<'b>>, Nonsense> {
        let slot = self.slot();
        let turn = slot.turn();
        if turn == self.position.free() {
            return if self.idle.0 > IDLE_RINGS { Err(Nonsense::Noise) } else { Ok(None) };
        }
        if turn != self.position.full() {
            return Err(Nonsense::Turn(turn));
        }
        let length = slot.length();
        let mtext = text.get_mut(..length as usize).ok_or(Nonsense::Length(length))?;
        slot.text(mtext);
        Ok(Some(Taken { mtype: slot.mtype(), mtext, request: slot.request() }))
    }

    /// Whether the kernel has put a message into the next slot that the intake has not passed on yet.
    pub(crate) fn is_half_done(&self) -> bool {
        let slot = self.slot();
        slot.turn() == self.position.free() && slot.mtype() != 0
    }

    /// Writes beside the message what number the journal is about to give it.
    pub(crate) fn note(&self, request: u64) {
        self.slot().set_request(request);
    }

    /// Makes room of the message that was taken.
    pub(crate) fn free(&mut self) {
        let slot = self.slot();
        slot.clear(slot.length() as usize);
        slot.set_turn(self.position.ahead(SLOTS).free());
        self.position = self.position.next();
        self.ring.room().ring();
    }

    /// Waits for the bell, at most this long; returns at once when there is a message, or `told` says so.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, told: impl Fn() -> bool) {
        let slot = self.slot();
        let come = || slot.turn() != self.position.free();
        if self.ring.bell().wait(|| come() || told(), limit) && !come() {
            self.count_idle(Instant::now());
        }
    }

    pub(super) fn count_idle(&mut self, now: Instant) {
        if now.duration_since(self.idle.1) > Duration::from_secs(1) {
            self.idle = (0, now);
        }
        self.idle.0 += 1;
    }

    pub(super) fn slot(&self) -> Slot<'a> {
        self.ring.slot(self.position.slot())
    }
}
