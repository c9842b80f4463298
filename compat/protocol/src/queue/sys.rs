//! The system calls that send and receive messages.
//!
//! Ours, because a message is received by type, into a buffer of known size, and its length matters.

use nix::errno::Errno;
use std::mem::{size_of, size_of_val};
use std::sync::atomic::AtomicU32;

/// The most bytes of `mtext` that are sent or received; longer ones are received cut to this.
/// (Linux's default `kernel.msgmax`.)
pub const CAPACITY: usize = 8192;

/// A `struct msgbuf` with room for [`CAPACITY`] bytes.
#[repr(C)]
pub struct Buffer {
    mtype: libc::c_long,
    mtext: [u8; CAPACITY],
    // Not part of msgbuf: behind everything that the kernel writes.
    len: usize,
}

const _: () = assert!(std::mem::offset_of!(Buffer, mtext) == size_of::<libc::c_long>());

impl Default for Buffer {
    fn default() -> Self {
        Buffer { mtype: 0, mtext: [0; CAPACITY], len: 0 }
    }
}

impl Buffer {
    /// A message to send; `None` when its text is too long.
    pub(super) fn with(mtype: i64, mtext: &[u8]) -> Option<Self> {
        let mut buffer = Buffer { mtype, len: mtext.len(), ..Buffer::default() };
        buffer.mtext.get_mut(..mtext.len())?.copy_from_slice(mtext);
        Some(buffer)
    }

    /// The type of the message received last.
    pub fn mtype(&self) -> i64 {
        self.mtype
    }

    /// The bytes of the message received last, at most [`CAPACITY`].
    pub fn mtext(&self) -> &[u8] {
        &self.mtext[..self.len]
    }
}

/// Opens the queue of a key. (sysvmq's call would make a missing one.)
pub(super) fn open(key: i32) -> Result<i32, Errno> {
    // SAFETY: msgget takes plain integers.
    Errno::result(unsafe { libc::msgget(key, 0) })
}

/// Sends what [`Buffer::with`] has made, without waiting for room.
pub(super) fn send(id: i32, buffer: &Buffer) -> Result<(), Errno> {
    let text = buffer.mtext().len();
    // SAFETY: `buffer` is a msgbuf whose text holds at least `text` bytes.
    let sent = unsafe { libc::msgsnd(id, (&raw const *buffer).cast(), text, libc::IPC_NOWAIT) };
    Errno::result(sent).map(drop)
}

/// Receives a message that `msgtyp` selects, cut to [`CAPACITY`].
pub(super) fn receive(id: i32, msgtyp: libc::c_long, buffer: &mut Buffer, flags: i32) -> Result<(), Errno> {
    let flags = flags | libc::MSG_NOERROR;
    buffer.len = 0;
    // SAFETY: `buffer` is a msgbuf with room for CAPACITY bytes of text, and lives through the call.
    let received = unsafe { libc::msgrcv(id, (&raw mut *buffer).cast(), CAPACITY, msgtyp, flags) };
    buffer.len = Errno::result(received)?.unsigned_abs();
    Ok(())
}

/// Receives a message that `msgtyp` selects into memory that other processes may see, cut to [`CAPACITY`];
/// the length of its text.
///
/// # Panics
/// When `memory` is not just as large as a `long` and [`CAPACITY`] bytes, or not aligned for a `long`.
pub(super) fn receive_into(
    id: i32,
    msgtyp: libc::c_long,
    memory: &[AtomicU32],
    flags: i32,
) -> Result<usize, Errno> {
    let start = memory.as_ptr();
    assert_eq!(size_of_val(memory), size_of::<libc::c_long>() + CAPACITY, "room for one message");
    assert!(start.cast::<libc::c_long>().is_aligned(), "aligned for its type");
    let flags = flags | libc::MSG_NOERROR;
    // SAFETY: the memory holds a msgbuf with CAPACITY bytes of text, lives through the call, and may change at
    // any time, since it consists of atomics.
    let received = unsafe { libc::msgrcv(id, start.cast_mut().cast(), CAPACITY, msgtyp, flags) };
    Errno::result(received).map(isize::unsigned_abs)
}
