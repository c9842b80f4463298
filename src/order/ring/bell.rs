//! How one process wakes the other: by a counter in their common memory that the kernel waits on.
#![forbid(unsafe_code)]

use rustix::io::Errno;
use rustix::thread::futex;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// A counter that one side waits on, and whether it does.
#[derive(Clone, Copy)]
pub(crate) struct Bell<'a> {
    pub(super) count: &'a AtomicU32,
    pub(super) awaited: &'a AtomicU32,
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

    /// Rings whether or not somebody says that he waits: for a caller that does not trust that.
    pub(crate) fn ring_aloud(self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Sleeps until the bell rings or `limit` is over, unless what it would ring for is there.
    pub(crate) fn sleep(self, limit: Duration, there: impl Fn() -> bool) {
        self.wait(there, Some(limit));
    }

    fn wake(self) {
        // There may be nobody to wake, which is not a failure.
        let _ = futex::wake(self.count, futex::Flags::empty(), 1);
    }

    /// Sleeps until the bell rings, unless what it would ring for is there; false when nothing rang.
    pub(super) fn wait(self, there: impl Fn() -> bool, limit: Option<Duration>) -> bool {
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
