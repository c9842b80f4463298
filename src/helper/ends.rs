//! Waits for the ends of many helpers at once: one thread, asleep on all of them.
#![forbid(unsafe_code)]

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// How many ends are reported at once.
const BATCH: usize = 64;

/// The helpers whose ends are waited for, each under a number of the caller's.
pub(crate) struct Ends(OwnedFd);

impl Ends {
    /// Waits for nothing yet.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn new() -> Result<Self, Errno> {
        epoll::create(CreateFlags::CLOEXEC).map(Ends)
    }

    /// Adds a helper, given by its pidfd: [`Ends::wait`] will return `number` once.
    ///
    /// # Errors
    /// When the kernel has no memory or no watches left.
    pub(crate) fn watch(&self, number: u64, helper: impl AsFd) -> Result<(), Errno> {
        epoll::add(&self.0, helper, EventData::new_u64(number), EventFlags::IN | EventFlags::ONESHOT)
    }

    /// Sleeps until a helper has ended; the numbers of those that have.
    ///
    /// # Errors
    /// When waiting has become impossible.
    pub(crate) fn wait(&self) -> Result<Vec<u64>, Errno> {
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        match epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => Ok(events.iter().map(|event| event.data.u64()).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }
}
