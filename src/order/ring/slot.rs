//! A place for one message.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::CAPACITY;
use std::ffi::c_long;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a free slot is filled with, so that the end of a message can be seen whose length nobody wrote
/// down. No UTF-8 text holds this byte, and neither does the last byte of any header field but a pid.
pub(crate) const FILL: u8 = 0xc1;

const FILL_WORD: u32 = u32::from_ne_bytes([FILL; 4]);

// Words of a slot; its message is a `struct msgbuf`.
const TURN_AT: usize = 0;
const LENGTH_AT: usize = 1;
const REQUEST_AT: usize = 2;
const MESSAGE_AT: usize = 4;
const TYPE_WORDS: usize = size_of::<c_long>() / 4;
const TEXT_AT: usize = MESSAGE_AT + TYPE_WORDS;

/// Words of a slot.
pub(super) const WORDS: usize = TEXT_AT + CAPACITY / 4;

/// Words that the kernel's `long` is aligned to.
pub(super) const ALIGNED_WORDS: usize = TYPE_WORDS;

const _: () = assert!(MESSAGE_AT.is_multiple_of(ALIGNED_WORDS) && WORDS.is_multiple_of(ALIGNED_WORDS));
const _: () = assert!(CAPACITY.is_multiple_of(4));

/// A place for one message.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a>(&'a [AtomicU32]);

impl<'a> Slot<'a> {
    /// The slot in these words.
    pub(super) fn new(words: &'a [AtomicU32]) -> Self {
        Slot(words)
    }

    /// Where the turn of a message stands: free or full, and of which position.
    pub(super) fn turn(self) -> u32 {
        self.0[TURN_AT].load(Ordering::Acquire)
    }

    pub(super) fn set_turn(self, turn: u32) {
        self.0[TURN_AT].store(turn, Ordering::Release);
    }

    /// The length of the message, once it has been passed on.
    pub(super) fn length(self) -> u32 {
        self.0[LENGTH_AT].load(Ordering::Relaxed)
    }

    pub(super) fn set_length(self, length: u32) {
        self.0[LENGTH_AT].store(length, Ordering::Relaxed);
    }

    /// Where the kernel writes.
    pub(super) fn message(self) -> &'a [AtomicU32] {
        &self.0[MESSAGE_AT..]
    }

    #[allow(clippy::useless_conversion, reason = "a long has 32 bits on other machines")]
    /// The type; not 0 once the kernel has begun to write.
    pub(super) fn mtype(self) -> i64 {
        let mut long = [0; TYPE_WORDS * 4];
        copy(&self.0[MESSAGE_AT..TEXT_AT], &mut long);
        c_long::from_ne_bytes(long).into()
    }

    /// Copies the first bytes of the text.
    pub(super) fn text(self, text: &mut [u8]) {
        copy(&self.0[TEXT_AT..], text);
    }

    /// Leaves nothing of a message of this length; first of all nothing that would be taken for one.
    pub(super) fn clear(self, length: usize) {
        for word in &self.0[MESSAGE_AT..TEXT_AT] {
            word.store(0, Ordering::Release);
        }
        for word in &self.0[TEXT_AT..][..length.min(CAPACITY).div_ceil(4)] {
            word.store(FILL_WORD, Ordering::Relaxed);
        }
    }

    /// The request's number in the journal, 0 for none.
    pub(super) fn request(self) -> u64 {
        let [low, high] = [0, 1].map(|word| self.0[REQUEST_AT + word].load(Ordering::Relaxed));
        u64::from(high) << 32 | u64::from(low)
    }

    pub(super) fn set_request(self, request: u64) {
        self.0[REQUEST_AT + 1].store((request >> 32) as u32, Ordering::Relaxed);
        self.0[REQUEST_AT].store(request as u32, Ordering::Release);
    }
}

fn copy(words: &[AtomicU32], bytes: &mut [u8]) {
    for (chunk, word) in bytes.chunks_mut(4).zip(words) {
        let length = chunk.len();
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..length]);
    }
}

/// Bytes up to the last one that is not [`FILL`].
pub(super) fn unfilled(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte != FILL).map_or(0, |last| last + 1)
}
