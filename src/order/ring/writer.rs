//! The intake's end of the ring.
#![forbid(unsafe_code)]

use super::layout::{Position, Ring};
use super::slot::{Slot, unfilled};
use kerneld_protocol::queue::CAPACITY;
use std::sync::atomic::AtomicU32;

/// The intake's end.
pub(crate) struct Writer<'a> {
    ring: Ring<'a>,
    pub(super) position: Position,
}

impl<'a> Writer<'a> {
    /// Writes from this position on.
    pub(crate) fn new(ring: Ring<'a>, position: Position) -> Self {
        Writer { ring, position }
    }

    /// Waits until there is a free slot, or until a signal comes, and gives the memory of its message;
    /// `None` for the signal.
    pub(crate) fn vacancy(&self) -> Option<&'a [AtomicU32]> {
        let slot = self.slot();
        let free = || slot.turn() == self.position.free();
        if !free() && !self.ring.room().wait(free, None) {
            return None;
        }
        free().then(|| slot.message())
    }

    /// Copies a message of this length that has just been received, and returns its type.
    pub(crate) fn read(&self, text: &mut [u8]) -> i64 {
        self.slot().text(text);
        self.slot().mtype()
    }

    /// Copies the message that a killed intake received but did not pass on, if there is one: its type, and
    /// how many bytes differ from the fill.
    pub(crate) fn left_behind(&self, text: &mut [u8; CAPACITY]) -> Option<(i64, usize)> {
        if self.slot().turn() != self.position.free() {
            return None;
        }
        let mtype = self.read(text);
        (mtype != 0).then(|| (mtype, unfilled(text)))
    }

    /// Passes the message on.
    pub(crate) fn publish(&mut self, length: usize) {
        let slot = self.slot();
        slot.set_length(length as u32);
        slot.set_request(0);
        slot.set_turn(self.position.full());
        self.position = self.position.next();
        self.ring.bell().ring();
    }

    /// Drops the message.
    pub(crate) fn discard(&self) {
        self.slot().clear(CAPACITY);
    }

    fn slot(&self) -> Slot<'a> {
        self.ring.slot(self.position.slot())
    }
}
