//! Learns of helpers' ends: one thread, asleep on all of them at once.

use super::{Executor, give_up};
use crate::executor::jobs::JobId;
use crate::helper::clone::Spawned;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Ends that are learnt at once.
const BATCH: usize = 64;

/// Where running helpers are waited for.
pub(super) struct Ends(OwnedFd);

impl Ends {
    pub(super) fn new() -> Result<Self, Errno> {
        epoll::create(CreateFlags::CLOEXEC).map(Ends)
    }

    /// Has a helper's end told, once.
    pub(super) fn watch(&self, id: JobId, helper: &Spawned) -> Result<(), Errno> {
        epoll::add(&self.0, helper, EventData::new_u64(id), EventFlags::IN | EventFlags::ONESHOT)
    }

    /// Waits until helpers have ended; their jobs.
    fn wait(&self, events: &mut Vec<Event>) -> Result<(), Errno> {
        events.clear();
        epoll::wait(&self.0, rustix::buffer::spare_capacity(events), None).map(drop)
    }
}

impl Executor {
    /// Answers as helpers end, for as long as the daemon lives.
    pub(super) fn await_ends(self: &Arc<Self>) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            match self.ends.wait(&mut events) {
                Ok(()) | Err(Errno::INTR) => {}
                Err(errno) => return give_up(&format!("cannot wait for helpers any more: {errno}")),
            }
            for id in events.iter().map(|event| event.data.u64()) {
                let run = self.lock().runs.remove(&id);
                if let Some(run) = run {
                    self.swiftly(|executor| executor.end(run));
                }
            }
        }
    }
}
