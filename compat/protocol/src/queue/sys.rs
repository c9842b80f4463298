//! The system calls on message queues.
//!
//! `sysvmq` makes, inspects, changes and deletes queues where it builds, which is x86-64 with glibc;
//! elsewhere `own` makes the same calls. Sending and receiving are ours everywhere, because a message
//! is received by type, into a buffer of known size, and its length matters.

use libc::msqid_ds;
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
    /// A message to send; `None` when its text is too long, or its type is more than a `long` holds here.
    pub(super) fn with(mtype: i64, mtext: &[u8]) -> Option<Self> {
        let mut buffer = Buffer { mtype: mtype.try_into().ok()?, len: mtext.len(), ..Buffer::default() };
        buffer.mtext.get_mut(..mtext.len())?.copy_from_slice(mtext);
        Some(buffer)
    }

    /// The type of the message received last.
    pub fn mtype(&self) -> i64 {
        self.mtype.into()
    }

    /// The bytes of the message received last, at most [`CAPACITY`].
    pub fn mtext(&self) -> &[u8] {
        &self.mtext[..self.len]
    }
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu")))]
pub(super) use own::{create, delete, get, set};
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))]
pub(super) use with_sysvmq::{create, delete, get, set};

/// `sysvmq` 0.1 takes some fields' sizes for granted that are others on most machines.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))]
mod with_sysvmq {
    use super::{Errno, msqid_ds};

    pub(in super::super) fn create(key: i32, flags: i32) -> Result<i32, Errno> {
        sysvmq::create(key, flags).map_err(|_| Errno::last())
    }

    pub(in super::super) fn get(id: i32) -> Result<msqid_ds, Errno> {
        sysvmq::get(id, sysvmq::IPC_STAT).map_err(|_| Errno::last())
    }

    pub(in super::super) fn set(id: i32, state: &mut msqid_ds) -> Result<(), Errno> {
        sysvmq::set(id, state).map_err(|_| Errno::last())
    }

    pub(in super::super) fn delete(id: i32) -> Result<(), Errno> {
        sysvmq::delete(id).map_err(|_| Errno::last())
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))))]
mod own {
    use super::{Errno, msqid_ds};
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    pub(in super::super) fn create(key: i32, flags: i32) -> Result<i32, Errno> {
        // SAFETY: msgget takes plain integers.
        Errno::result(unsafe { libc::msgget(key, libc::IPC_CREAT | flags) })
    }

    pub(in super::super) fn get(id: i32) -> Result<msqid_ds, Errno> {
        let mut state = MaybeUninit::zeroed();
        // SAFETY: IPC_STAT writes one msqid_ds.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_STAT, state.as_mut_ptr()) })?;
        // SAFETY: integers only, all of them set.
        Ok(unsafe { state.assume_init() })
    }

    pub(in super::super) fn set(id: i32, state: &mut msqid_ds) -> Result<(), Errno> {
        // SAFETY: IPC_SET reads one msqid_ds.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_SET, state) }).map(drop)
    }

    pub(in super::super) fn delete(id: i32) -> Result<(), Errno> {
        // SAFETY: IPC_RMID looks at no buffer.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_RMID, null_mut()) }).map(drop)
    }
}

/// Opens the queue of a key. (sysvmq's call would make a missing one.)
pub(super) fn open(key: i32) -> Result<i32, Errno> {
    // SAFETY: msgget takes plain integers.
    Errno::result(unsafe { libc::msgget(key, 0) })
}

/// Removes the shared memory of a key.
pub(super) fn remove_memory(key: i32) -> Result<(), Errno> {
    // SAFETY: shmget takes plain integers.
    let id = Errno::result(unsafe { libc::shmget(key, 0, 0) })?;
    // SAFETY: IPC_RMID looks at no buffer.
    Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The four calls that two crates can make.
    struct Rim {
        create: fn(i32, i32) -> Result<i32, Errno>,
        get: fn(i32) -> Result<msqid_ds, Errno>,
        set: fn(i32, &mut msqid_ds) -> Result<(), Errno>,
        delete: fn(i32) -> Result<(), Errno>,
    }

    const RIMS: [Rim; 2] = [
        Rim { create, get, set, delete },
        Rim { create: own::create, get: own::get, set: own::set, delete: own::delete },
    ];

    #[test]
    fn a_message_is_received_into_memory_that_is_shared() {
        let id = create(libc::IPC_PRIVATE, 0o600).unwrap();
        let long = size_of::<libc::c_long>() / 4;
        let words: Vec<AtomicU32> = (0..8 + CAPACITY as u32 / 4).map(AtomicU32::new).collect();
        let memory = &words[4..4 + long + CAPACITY / 4];
        assert_eq!(receive_into(id, 0, memory, libc::IPC_NOWAIT), Err(Errno::ENOMSG));
        send(id, &Buffer::with(9, b"text").unwrap()).unwrap();
        assert_eq!(receive_into(id, 0, memory, 0), Ok(4));
        delete(id).unwrap();
        assert_eq!(&memory[long].load(std::sync::atomic::Ordering::Relaxed).to_ne_bytes(), b"text");
    }

    #[test]
    fn both_rims_make_change_and_delete_queues_alike() {
        for rim in RIMS {
            let id = (rim.create)(libc::IPC_PRIVATE, 0o640).unwrap();
            let mut state = (rim.get)(id).unwrap();
            assert_eq!((state.msg_perm.mode & 0o777, state.msg_qnum), (0o640, 0));
            state.msg_perm.mode = 0o600;
            state.msg_qbytes = 4096;
            (rim.set)(id, &mut state).unwrap();
            let state = (rim.get)(id).unwrap();
            assert_eq!((state.msg_perm.mode & 0o777, state.msg_qbytes), (0o600, 4096));
            (rim.delete)(id).unwrap();
            assert!(matches!((rim.get)(id), Err(Errno::EIDRM | Errno::EINVAL)));
            assert!((rim.set)(id, &mut state.clone()).is_err() && (rim.delete)(id).is_err());
        }
    }

    #[test]
    fn both_rims_refuse_to_make_a_queue_twice() {
        for rim in RIMS {
            let key = 0x4b72_0000 | (std::process::id() & 0xffff).cast_signed();
            let id = (rim.create)(key, 0o600 | libc::IPC_EXCL).unwrap();
            let again = (rim.create)(key, 0o600 | libc::IPC_EXCL);
            (rim.delete)(id).unwrap();
            assert_eq!((again, open(key)), (Err(Errno::EEXIST), Err(Errno::ENOENT)));
        }
    }
}
