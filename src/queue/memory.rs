//! The memory of the ring: a SysV shared memory segment under the queue's key. Like the queue it belongs to
//! the machine's IPC namespace and outlives every process; the kernel counts who is attached, which shows
//! whether anybody else still touches it.
#![forbid(unsafe_code)]

use crate::order::ring::{Position, Ring, WORDS};
use crate::sys::{self, SegmentStat};
use log::{info, warn};
use nix::errno::Errno;
use nix::unistd::Uid;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

const BYTES: usize = WORDS * 4;

/// How long a process of a killed daemon may take to be gone: the kernel kills it with its parent.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no memory for messages.
#[derive(Debug)]
pub(crate) enum MemoryError {
    /// The segment of the key was made by this user, and we are not root.
    Foreign(i32, u32),
    /// The system refuses this to the segment of the key.
    OfKey(i32, &'static str, Errno),
    /// The system refuses this to the segment that we have.
    Refused(&'static str, Errno),
    /// There is not room for all slots.
    Small,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::Foreign(key, creator) => write!(
                f,
                "the shared memory of key {key:#x} belongs to user {creator} and not to us: remove it (ipcrm -M \
                 {key:#x}), or give another --key"
            ),
            MemoryError::OfKey(key, what, errno) => {
                write!(f, "cannot {what} the shared memory of key {key:#x}: {}", errno.desc())
            }
            MemoryError::Refused(what, errno) => {
                write!(f, "cannot {what} the memory for messages: {}", errno.desc())
            }
            MemoryError::Small => f.write_str("the memory for messages is smaller than it must be"),
        }
    }
}

impl std::error::Error for MemoryError {}

/// The segment.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    id: i32,
    words: &'static [AtomicU32],
    taken_over: bool,
}

impl Memory {
    /// Makes the segment of `key`, or takes over the one of a killed daemon, which then proves that nobody
    /// else serves this key.
    ///
    /// `None` when a daemon uses it, perhaps another user's.
    ///
    /// # Errors
    /// The segment of this key is somebody else's, or cannot be made.
    pub(crate) fn open(key: i32) -> Result<Option<Self>, MemoryError> {
        let memory = match sys::make_segment(key, BYTES) {
            Ok(id) => Some(Self::fresh(id)?),
            Err(Errno::EEXIST) => Self::found(key)?,
            Err(errno) => return Err(failed(key, "make", errno)),
        };
        // Another daemon may have been started at the same moment.
        let alone = |memory: &Memory| sys::segment_stat(memory.id).is_ok_and(|stat| stat.attached == 1);
        Ok(memory.filter(alone))
    }

    fn fresh(id: i32) -> Result<Self, MemoryError> {
        if let Err(errno) = sys::lock_segment(id) {
            info!("the memory for messages is not locked, and may be swapped out: {}", errno.desc());
        }
        Self::attach(id)
    }

    fn found(key: i32) -> Result<Option<Self>, MemoryError> {
        let id = sys::find_segment(key).map_err(|errno| failed(key, "find", errno))?;
        let stat = match sys::segment_stat(id) {
            Err(Errno::EACCES) => return Ok(None),
            known => known.map_err(|errno| failed(key, "look at", errno))?,
        };
        if !ours(&stat) {
            return Self::replace(key, id, &stat).map(Some);
        }
        if !comes_to_be_alone(id).map_err(|errno| failed(key, "look at", errno))? {
            return Ok(None);
        }
        Self::attach(id).map(|memory| Some(Memory { taken_over: true, ..memory }))
    }

    /// Where a killed daemon stopped taking messages of this queue; else at the beginning of an empty ring.
    pub(crate) fn position(&self, queue: i32) -> Position {
        self.ring().resume(queue).unwrap_or_else(|| {
            self.ring().reset(queue);
            Position::default()
        })
    }

    /// Whether it was left by a daemon that is gone.
    pub(crate) fn taken_over(&self) -> bool {
        self.taken_over
    }

    /// Root makes its own segment in place of somebody else's.
    fn replace(key: i32, id: i32, stat: &SegmentStat) -> Result<Self, MemoryError> {
        let creator = stat.creator;
        if !Uid::effective().is_root() {
            return Err(MemoryError::Foreign(key, creator));
        }
        warn!(
            "the shared memory of key {key:#x} belongs to user {creator} or does not look as we make it: \
             it is removed, and made anew"
        );
        sys::remove_segment(id).map_err(|errno| failed(key, "remove", errno))?;
        match sys::make_segment(key, BYTES) {
            Ok(id) => Self::fresh(id),
            Err(errno) => Err(failed(key, "make", errno)),
        }
    }

    /// The segment of this id, in this process.
    ///
    /// # Errors
    /// The kernel refuses, or it is too small.
    pub(crate) fn attach(id: i32) -> Result<Self, MemoryError> {
        let words = sys::attach_segment(id).map_err(|errno| MemoryError::Refused("attach", errno))?;
        if words.len() < WORDS {
            return Err(MemoryError::Small);
        }
        Ok(Memory { id, words, taken_over: false })
    }

    /// Its id.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// What is in it.
    pub(crate) fn ring(&self) -> Ring<'static> {
        Ring::new(self.words)
    }

    /// Removes it; it is gone once nobody is attached.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn remove(&self) -> Result<(), MemoryError> {
        sys::remove_segment(self.id).map_err(|errno| MemoryError::Refused("remove", errno))
    }
}

fn failed(key: i32, what: &'static str, errno: Errno) -> MemoryError {
    MemoryError::OfKey(key, what, errno)
}

/// Whether this is a segment as we make them: no other user could have written to it.
fn ours(stat: &SegmentStat) -> bool {
    let we = Uid::effective().as_raw();
    (stat.creator, stat.owner, stat.mode, stat.bytes) == (we, we, 0o600, BYTES)
}

/// Nobody may write there any more when the ring is taken over. An intake whose daemon was killed is on its
/// way out; two who use the segment are a daemon that lives.
fn comes_to_be_alone(id: i32) -> Result<bool, Errno> {
    let end = Instant::now() + ORPHAN_LIMIT;
    loop {
        match sys::segment_stat(id)?.attached {
            0 => return Ok(true),
            1 if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            _ => return Ok(false),
        }
    }
}
