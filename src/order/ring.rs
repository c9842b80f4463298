//! The ring: slots of memory that outlive both processes, into which the kernel itself puts each message.
//!
//! A reader that is killed loses what it holds in memory of its own, and the kernel hands a message even to
//! a reader that is being killed. So the intake has `msgrcv` copy straight into a slot here, and the executor
//! frees the slot once the journal has the request. Both ends may die at any instruction.
//!
//! Each slot has a *turn*: the position of the message that it holds or will hold, and whether that message
//! has been passed on. Turns change by one store, so there is no state in between. What the executor reads it
//! copies first and checks then: whoever has taken the intake over can write anything here at any time.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::CAPACITY;
use rustix::io::Errno;
use rustix::thread::futex;
use std::ffi::c_long;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

/// Messages that may wait in the ring; a power of two. More wait on the queue.
pub(crate) const SLOTS: u32 = 16;

/// What a free slot is filled with, so that the end of a message can be seen whose length nobody wrote
/// down. No UTF-8 text holds this byte, and neither does the last byte of any header field but a pid.
pub(crate) const FILL: u8 = 0xc1;

const FILL_WORD: u32 = u32::from_ne_bytes([FILL; 4]);

/// Says that the memory is a ring of this layout.
const MAGIC: u32 = 0x6b64_0100 | SLOTS;

// Words of the ring's head.
const MAGIC_AT: usize = 0;
const QUEUE_AT: usize = 1;
const BELL_AT: usize = 2;
const ROOM_AT: usize = 4;
const ASKED_AT: usize = 6;
const EMPTIED_AT: usize = 7;
const HEAD: usize = 16;

// Words of a slot; its message is a `struct msgbuf`.
const TURN_AT: usize = 0;
const LENGTH_AT: usize = 1;
const REQUEST_AT: usize = 2;
const MESSAGE_AT: usize = 4;
const TYPE_WORDS: usize = size_of::<c_long>() / 4;
const TEXT_AT: usize = MESSAGE_AT + TYPE_WORDS;
const SLOT: usize = TEXT_AT + CAPACITY / 4;

/// Words of a whole ring.
pub(crate) const WORDS: usize = HEAD + SLOTS as usize * SLOT;

const _: () = assert!(SLOTS.is_power_of_two() && CAPACITY.is_multiple_of(4));
// The kernel's `long` is aligned wherever the memory begins at a page.
const _: () = assert!((HEAD + MESSAGE_AT).is_multiple_of(TYPE_WORDS) && SLOT.is_multiple_of(TYPE_WORDS));

/// A view of the memory.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a>(&'a [AtomicU32]);

/// Where in the endless row of messages one stands; wraps after 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(u32);

impl Position {
    fn next(self) -> Self {
        self.ahead(1)
    }

    fn ahead(self, by: u32) -> Self {
        Position(self.0.wrapping_add(by) & (u32::MAX >> 1))
    }

    fn slot(self) -> usize {
        (self.0 % SLOTS) as usize
    }

    /// The turn of a slot that waits for the message of this position.
    fn free(self) -> u32 {
        self.0 << 1
    }

    /// The turn of a slot that holds it.
    fn full(self) -> u32 {
        self.0 << 1 | 1
    }
}

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

impl<'a> Ring<'a> {
    /// The ring in `words`, which begin at a page.
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

    /// Clears the slots that wait for messages, but for one that a killed intake has left half written.
    /// Their memory is then as an intake expects it, whatever the one before it has done there.
    fn tidy(self, from: Position, next: Position) {
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

    /// Asks the executor's question of this number: everything that waits on the queue now is to be in the
    /// ring when [`Ring::emptied`] is the same.
    pub(crate) fn ask(self, question: u32) {
        self.store(ASKED_AT, question);
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

    /// Rung when a message or an answer has come.
    pub(crate) fn bell(self) -> Bell<'a> {
        Bell { count: &self.0[BELL_AT], awaited: &self.0[BELL_AT + 1] }
    }

    /// Rung when a slot has become free.
    fn room(self) -> Bell<'a> {
        Bell { count: &self.0[ROOM_AT], awaited: &self.0[ROOM_AT + 1] }
    }

    fn slot(self, index: usize) -> Slot<'a> {
        let start = HEAD + index * SLOT;
        Slot(&self.0[start..start + SLOT])
    }

    fn load(self, at: usize) -> u32 {
        self.0[at].load(Ordering::SeqCst)
    }

    fn store(self, at: usize, value: u32) {
        self.0[at].store(value, Ordering::SeqCst);
    }
}

/// The least position, if the turns are those of consecutive messages, the full ones first.
fn oldest(turns: &[u32; SLOTS as usize]) -> Option<Position> {
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

/// A place for one message.
#[derive(Clone, Copy)]
struct Slot<'a>(&'a [AtomicU32]);

impl<'a> Slot<'a> {
    fn turn(self) -> u32 {
        self.0[TURN_AT].load(Ordering::Acquire)
    }

    fn set_turn(self, turn: u32) {
        self.0[TURN_AT].store(turn, Ordering::Release);
    }

    fn length(self) -> u32 {
        self.0[LENGTH_AT].load(Ordering::Relaxed)
    }

    /// Where the kernel writes.
    fn message(self) -> &'a [AtomicU32] {
        &self.0[MESSAGE_AT..]
    }

    /// The type; not 0 once the kernel has begun to write.
    fn mtype(self) -> i64 {
        let mut long = [0; TYPE_WORDS * 4];
        copy(&self.0[MESSAGE_AT..TEXT_AT], &mut long);
        c_long::from_ne_bytes(long).into()
    }

    /// Copies the first bytes of the text.
    fn text(self, text: &mut [u8]) {
        copy(&self.0[TEXT_AT..], text);
    }

    /// Leaves nothing of a message of this length; first of all nothing that would be taken for one.
    fn clear(self, length: usize) {
        for word in &self.0[MESSAGE_AT..TEXT_AT] {
            word.store(0, Ordering::Release);
        }
        for word in &self.0[TEXT_AT..][..length.min(CAPACITY).div_ceil(4)] {
            word.store(FILL_WORD, Ordering::Relaxed);
        }
    }

    /// The request's number in the journal, 0 for none.
    fn request(self) -> u64 {
        let [low, high] = [0, 1].map(|word| self.0[REQUEST_AT + word].load(Ordering::Relaxed));
        u64::from(high) << 32 | u64::from(low)
    }

    fn set_request(self, request: u64) {
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

/// The intake's end.
pub(crate) struct Writer<'a> {
    ring: Ring<'a>,
    position: Position,
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

    /// The type and text of a message that the kernel has put into the slot: of `length` bytes, or of a
    /// length that has to be found out. `None` while there is none.
    pub(crate) fn read<'b>(&self, length: Option<usize>, text: &'b mut [u8; CAPACITY]) -> Option<(i64, &'b [u8])> {
        let slot = self.slot();
        let mtype = slot.mtype();
        if mtype == 0 {
            return None;
        }
        let length = length.unwrap_or_else(|| {
            slot.text(text);
            unfilled(text)
        });
        let text = &mut text[..length];
        slot.text(text);
        Some((mtype, text))
    }

    /// Passes the message on.
    pub(crate) fn publish(&mut self, length: usize) {
        let slot = self.slot();
        slot.0[LENGTH_AT].store(length as u32, Ordering::Relaxed);
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

/// Bytes up to the last one that is not [`FILL`].
fn unfilled(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte != FILL).map_or(0, |last| last + 1)
}

/// The executor's end.
pub(crate) struct Reader<'a> {
    ring: Ring<'a>,
    position: Position,
    /// How often the bell has rung for nothing, and since when that is counted.
    idle: (u32, Instant),
}

/// How often a second the bell may ring for nothing: it does with each answer to a question.
const IDLE_RINGS: u32 = 1000;

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

    /// The ring that is read.
    pub(crate) fn ring(&self) -> Ring<'a> {
        self.ring
    }

    /// Where an intake begins to write, once the one before it is dead. A message stays that the kernel has
    /// put there and nobody has passed on.
    pub(crate) fn hand_over(&self) -> Position {
        let from = self.ring.unwritten(self.position);
        self.ring.tidy(from, self.position);
        from
    }

    /// Drops the message that waits at `from` to be passed on, for it ends every intake; its type and text.
    pub(crate) fn set_aside(&self, from: Position) -> (i64, Vec<u8>) {
        let slot = self.ring.slot(from.slot());
        let mut text = vec![0; CAPACITY];
        slot.text(&mut text);
        text.truncate(unfilled(&text));
        let mtype = slot.mtype();
        slot.clear(CAPACITY);
        (mtype, text)
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

    fn count_idle(&mut self, now: Instant) {
        if now.duration_since(self.idle.1) > Duration::from_secs(1) {
            self.idle = (0, now);
        }
        self.idle.0 += 1;
    }

    fn slot(&self) -> Slot<'a> {
        self.ring.slot(self.position.slot())
    }
}

/// A counter that one side waits on, and whether it does.
#[derive(Clone, Copy)]
pub(crate) struct Bell<'a> {
    count: &'a AtomicU32,
    awaited: &'a AtomicU32,
}

impl Bell<'_> {
    /// Wakes whoever waits.
    pub(crate) fn ring(self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) != 0 {
            self.wake();
        }
    }

    /// Rings whether or not somebody says that he waits: for one who does not trust that word.
    pub(crate) fn ring_aloud(self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    fn wake(self) {
        // There may be nobody to wake, which is no failure.
        let _ = futex::wake(self.count, futex::Flags::empty(), 1);
    }

    /// Sleeps until the bell rings, unless what it would ring for is there; false when nothing rang.
    fn wait(self, there: impl Fn() -> bool, limit: Option<Duration>) -> bool {
        let seen = self.count.load(Ordering::SeqCst);
        self.awaited.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let limit = limit.and_then(|limit| futex::Timespec::try_from(limit).ok());
        let woken = there()
            || match futex::wait(self.count, futex::Flags::empty(), seen, limit.as_ref()) {
                Ok(()) | Err(Errno::AGAIN) => true,
                Err(_) => false,
            };
        self.awaited.store(0, Ordering::SeqCst);
        woken
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
