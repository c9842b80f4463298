//! The SysV message queue through which kerneld is asked.
//!
//! The system calls are made in `sys`.
#![allow(
    clippy::useless_conversion,
    reason = "the sizes of `long` and of msqid_ds's fields are the machine's"
)]

mod select;
mod sys;

pub use select::Select;
pub use sys::{Buffer, CAPACITY};

use nix::errno::Errno;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// The key of the daemon's queue unless another is given: `kern` in ASCII.
pub const DEFAULT_KEY: i32 = 0x6b65_726e;

/// Flag bits by which a program asks `msgget` for kerneld's queue, new protocol
/// (`IPC_KERNELD`, `kerneld.h`, Linux 2.1).
pub const IPC_KERNELD_NEW: i32 = 0o0014_0000;

/// The same in the old protocol (`IPC_KERNELD` in Linux 1.3.57-2.0, `OLDIPC_KERNELD` in 2.1).
pub const IPC_KERNELD_OLD: i32 = 0o0004_0000;

/// What the kernel knows of a queue (`msgctl(IPC_STAT)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Messages waiting.
    pub messages: u64,
    /// Bytes of mtext that wait.
    pub bytes: u64,
    /// Bytes of mtext that may wait in all (`msg_qbytes`).
    pub capacity: u64,
    /// Pid of the last `msgsnd`, 0 for none.
    pub last_sender: i32,
    /// When that was, in seconds since 1970; 0 for never.
    pub last_sent: i64,
    /// Owner.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// User and group that made the queue, and keep an owner's rights.
    pub creator: (u32, u32),
    /// Permission bits, 0 to 0o777.
    pub mode: u16,
}

#[allow(clippy::unnecessary_cast, reason = "the fields' sizes are other ones on each machine")]
impl From<libc::msqid_ds> for Stat {
    fn from(raw: libc::msqid_ds) -> Self {
        Stat {
            messages: raw.msg_qnum as u64,
            bytes: raw.__msg_cbytes as u64,
            capacity: raw.msg_qbytes as u64,
            last_sender: raw.msg_lspid,
            last_sent: raw.msg_stime as i64,
            uid: raw.msg_perm.uid,
            gid: raw.msg_perm.gid,
            creator: (raw.msg_perm.cuid, raw.msg_perm.cgid),
            mode: (raw.msg_perm.mode & 0o777) as u16,
        }
    }
}

impl Stat {
    /// Whether a request of usual size might find no room: less than an eighth of it is left, or as
    /// many messages wait as there may be bytes.
    pub fn full(&self) -> bool {
        self.bytes > self.capacity - self.capacity / 8 || self.messages >= self.capacity
    }
}

/// What came of [`Queue::sift_by`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// Messages that were not kept.
    pub dropped: usize,
    /// Messages to keep that found no room yet: type and mtext.
    pub waiting: VecDeque<(i64, Vec<u8>)>,
}

/// A handle on a queue. Dropping it leaves the queue alone: it outlives processes by design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    id: i32,
}

impl Queue {
    /// Makes the queue of `key` (0, `IPC_PRIVATE`: one of no key) with permission bits `mode`.
    ///
    /// # Errors
    /// `EEXIST` when the key has one already; `ENOSPC` when the system has `kernel.msgmni` queues.
    pub fn create(key: i32, mode: i32) -> Result<Self, Errno> {
        sys::create(key, mode | libc::IPC_EXCL).map(Queue::from_id)
    }

    /// A positive key that no queue on this machine has, and that nobody else is likely to choose.
    pub fn free_key() -> i32 {
        let any = || RandomState::new().hash_one(std::process::id()) as i32 & i32::MAX;
        std::iter::repeat_with(any)
            .take(64)
            .find(|key| *key != libc::IPC_PRIVATE && Queue::open(*key) == Err(Errno::ENOENT))
            .unwrap_or(DEFAULT_KEY)
    }

    /// Opens the queue of `key`.
    ///
    /// # Errors
    /// `ENOENT` when there is none; `EACCES` when its permissions do not admit the caller.
    pub fn open(key: i32) -> Result<Self, Errno> {
        sys::open(key).map(Queue::from_id)
    }

    /// Removes what a kerneld that was killed may have left under a key: its queue, and the shared memory in
    /// which it kept messages. Says whether there was a queue.
    pub fn clear_key(key: i32) -> bool {
        // Whatever is not there, or is somebody else's, stays as it is.
        let _ = sys::remove_memory(key);
        Queue::open(key).and_then(|queue| queue.remove()).is_ok()
    }

    /// A queue known by its id.
    pub const fn from_id(id: i32) -> Self {
        Queue { id }
    }

    /// The queue's id, as `msgget` returns it.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// Reads the queue's state.
    ///
    /// # Errors
    /// `EIDRM` or `EINVAL` when it is gone; `EACCES` without read permission.
    pub fn stat(&self) -> Result<Stat, Errno> {
        sys::get(self.id).map(Stat::from)
    }

    /// Gives the queue to `owner` (user and group id) with permission bits `mode`.
    ///
    /// # Errors
    /// `EPERM` for one who is neither its owner nor its creator nor root.
    pub fn set_access(&self, owner: Option<(u32, u32)>, mode: u16) -> Result<(), Errno> {
        let mut raw = sys::get(self.id)?;
        if let Some((uid, gid)) = owner {
            raw.msg_perm.uid = uid;
            raw.msg_perm.gid = gid;
        }
        raw.msg_perm.mode = mode.into();
        sys::set(self.id, &mut raw)
    }

    /// Lets `bytes` of mtext wait in all.
    ///
    /// # Errors
    /// `EPERM` over `kernel.msgmnb` without CAP_SYS_RESOURCE.
    pub fn set_capacity(&self, bytes: u64) -> Result<(), Errno> {
        let mut raw = sys::get(self.id)?;
        raw.msg_qbytes = bytes.try_into().map_err(|_| Errno::EINVAL)?;
        sys::set(self.id, &mut raw)
    }

    /// Removes the queue; who waits on it gets `EIDRM`.
    ///
    /// # Errors
    /// `EPERM` for one who is neither its owner nor its creator nor root.
    pub fn remove(&self) -> Result<(), Errno> {
        sys::delete(self.id)
    }

    /// Sends a message without waiting for room.
    ///
    /// # Errors
    /// `EAGAIN` when the queue is full; `EINVAL` for a type below 1; `E2BIG` for a text over [`CAPACITY`];
    /// `EIDRM` or `EINVAL` when the queue is gone.
    pub fn send(&self, mtype: i64, mtext: &[u8]) -> Result<(), Errno> {
        let buffer = Buffer::with(mtype, mtext).ok_or(Errno::E2BIG)?;
        sys::send(self.id, &buffer)
    }

    /// Receives a message, waiting for one.
    ///
    /// # Errors
    /// `EINTR` when a signal came; `EIDRM` or `EINVAL` when the queue is gone; `EACCES`.
    pub fn receive(&self, select: Select, buffer: &mut Buffer) -> Result<(), Errno> {
        sys::receive(self.id, select.msgtyp()?, buffer, 0)
    }

    /// Receives a message into memory that other processes may see: a `struct msgbuf` with room for
    /// [`CAPACITY`] bytes. Waits for one if `wait` says so. Returns the length of its text.
    ///
    /// # Errors
    /// As [`Queue::receive`]; `ENOMSG` when there is none and `wait` is false.
    ///
    /// # Panics
    /// When `memory` is not just as large as that, or not aligned for a `long`.
    pub fn receive_into(&self, select: Select, memory: &[AtomicU32], wait: bool) -> Result<usize, Errno> {
        sys::receive_into(self.id, select.msgtyp()?, memory, if wait { 0 } else { libc::IPC_NOWAIT })
    }

    /// Receives a message if one waits; says whether one did.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub fn try_receive(&self, select: Select, buffer: &mut Buffer) -> Result<bool, Errno> {
        match sys::receive(self.id, select.msgtyp()?, buffer, libc::IPC_NOWAIT) {
            Ok(()) => Ok(true),
            Err(Errno::ENOMSG) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Drops the messages of a selection; returns how many there were.
    ///
    /// # Errors
    /// As [`Queue::receive`].
    pub fn drain(&self, select: Select) -> Result<usize, Errno> {
        let mut buffer = Buffer::default();
        let mut dropped = 0;
        while self.try_receive(select, &mut buffer)? {
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Takes each message of a selection out in turn and puts back, in order, those that `keep` wants.
    /// Each goes back at once, for senders may be waiting for its room. Never sleeps: what found no
    /// room is handed to the caller, who has to [`Queue::put_back`] it.
    ///
    /// # Errors
    /// As [`Queue::stat`].
    pub fn sift_by(&self, select: Select, mut keep: impl FnMut(i64, &[u8]) -> bool) -> Result<Sifted, Errno> {
        let mut buffer = Buffer::default();
        let mut sifted = Sifted::default();
        for _ in 0..self.stat()?.messages {
            if self.try_receive(select, &mut buffer) != Ok(true) {
                break;
            }
            if keep(buffer.mtype(), buffer.mtext()) {
                sifted.waiting.push_back((buffer.mtype(), buffer.mtext().to_vec()));
            } else {
                sifted.dropped += 1;
            }
            self.put_back(&mut sifted.waiting);
        }
        Ok(sifted)
    }

    /// Copies a message and leaves it on the queue: the one at `place`, counted from 0 for the oldest;
    /// says whether there is one. (`MSG_COPY`, Linux 3.8.)
    ///
    /// # Errors
    /// `ENOSYS` where the kernel was built without `CONFIG_CHECKPOINT_RESTORE`; else as [`Queue::receive`].
    pub fn peek(&self, place: usize, buffer: &mut Buffer) -> Result<bool, Errno> {
        let place = libc::c_long::try_from(place).unwrap_or(libc::c_long::MAX);
        match sys::receive(self.id, place, buffer, libc::IPC_NOWAIT | libc::MSG_COPY) {
            Ok(()) => Ok(true),
            Err(Errno::ENOMSG) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Sends what finds room, in order; returns whether that was all. Never sleeps.
    pub fn put_back(&self, waiting: &mut VecDeque<(i64, Vec<u8>)>) -> bool {
        while let Some((mtype, mtext)) = waiting.front() {
            if self.send(*mtype, mtext) == Err(Errno::EAGAIN) {
                return false;
            }
            waiting.pop_front();
        }
        true
    }

    /// [`Queue::put_back`], again and again for up to `patience`; returns whether all found room.
    pub fn put_back_within(&self, waiting: &mut VecDeque<(i64, Vec<u8>)>, patience: Duration) -> bool {
        let start = Instant::now();
        while !self.put_back(waiting) {
            if start.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Private(Queue);

    impl Private {
        fn new() -> Self {
            Private(Queue::create(libc::IPC_PRIVATE, 0o600).expect("a private queue"))
        }
    }

    impl Drop for Private {
        fn drop(&mut self) {
            self.0.remove().expect("our queue is still there");
        }
    }

    #[test]
    fn lowest_type_comes_first_and_other_types_stay() {
        let Private(queue) = &Private::new();
        for (mtype, text) in [(300, "foreign"), (255, "debug"), (2, "load")] {
            queue.send(mtype, text.as_bytes()).unwrap();
        }
        let mut buffer = Buffer::default();
        for expected in [&b"load"[..], b"debug"] {
            assert!(queue.try_receive(Select::UpTo(255), &mut buffer).unwrap());
            assert_eq!(buffer.mtext(), expected);
        }
        assert!(!queue.try_receive(Select::UpTo(255), &mut buffer).unwrap());
        assert_eq!(queue.stat().unwrap().messages, 1);
    }

    #[test]
    fn a_message_that_is_looked_at_stays() {
        let Private(queue) = &Private::new();
        let mut buffer = Buffer::default();
        assert_eq!(queue.peek(0, &mut buffer), Ok(false));
        for text in ["one", "two"] {
            queue.send(300, text.as_bytes()).unwrap();
        }
        for (place, text) in [(1, "two"), (0, "one")] {
            assert_eq!(queue.peek(place, &mut buffer), Ok(true));
            assert_eq!((buffer.mtype(), buffer.mtext()), (300, text.as_bytes()));
        }
        assert_eq!(queue.peek(2, &mut buffer), Ok(false));
        assert_eq!(queue.stat().unwrap().messages, 2);
    }

    #[test]
    fn every_length_arrives_whole() {
        let Private(queue) = &Private::new();
        let mut buffer = Buffer::default();
        for len in [0, 1, 4, 1024, CAPACITY] {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            queue.send(9, &text).unwrap();
            queue.receive(Select::Exactly(9), &mut buffer).unwrap();
            assert_eq!((buffer.mtype(), buffer.mtext()), (9, &text[..]));
        }
        assert_eq!(queue.send(9, &[0; CAPACITY + 1]), Err(Errno::E2BIG));
    }

    #[test]
    fn a_full_queue_says_so_instead_of_blocking() {
        let Private(queue) = &Private::new();
        while queue.send(1, &[7; 4096]).is_ok() {}
        assert_eq!(queue.send(1, &[7; 4096]), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_removed_queue_and_a_missing_key_are_told_apart_from_success() {
        let queue = Queue::create(libc::IPC_PRIVATE, 0o600).unwrap();
        queue.remove().unwrap();
        assert!(matches!(queue.send(1, b""), Err(Errno::EIDRM | Errno::EINVAL)));
        assert!(queue.stat().is_err());
    }

    #[test]
    fn access_can_be_changed() {
        let Private(queue) = &Private::new();
        queue.set_access(None, 0o660).unwrap();
        assert_eq!(queue.stat().unwrap().mode, 0o660);
    }
}
