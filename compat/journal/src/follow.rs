//! Follows the journal as it is written; asleep in between.
#![forbid(unsafe_code)]

use super::reader::{Problem, Reader};
use super::record::Record;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use std::io;
use std::path::Path;

/// The journal's records, oldest first, then each as it is written, across rotations.
#[derive(Debug)]
pub struct Follow {
    reader: Reader,
    inotify: Inotify,
}

impl Follow {
    /// Follows the journal of the state directory `dir`, from its beginning.
    ///
    /// # Errors
    /// What watching the directory (it must exist) or opening a file gave.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let changes = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        // Watched before it is read: nothing written in between is missed.
        inotify.add_watch(dir, changes)?;
        Ok(Follow { reader: Reader::open(dir)?, inotify })
    }

    /// What has been written so far and not been given out yet, without waiting.
    pub fn ready(&mut self) -> impl Iterator<Item = Result<Record, Problem>> {
        self.reader.by_ref()
    }

    /// Waits until something changes in the directory: likely, but not surely, the journal.
    ///
    /// # Errors
    /// `NotFound` when the journal was removed; rotation does not remove it.
    pub fn wait(&self) -> io::Result<()> {
        let events = loop {
            match self.inotify.read_events() {
                Err(Errno::EINTR) => {}
                events => break events?,
            }
        };
        // Not the directory's own end is waited for: our open file would put that off.
        let removed = |event: &InotifyEvent| {
            event.mask.contains(AddWatchFlags::IN_DELETE) && event.name.as_deref() == Some("journal".as_ref())
        };
        if events.iter().any(removed) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was removed"));
        }
        Ok(())
    }
}
