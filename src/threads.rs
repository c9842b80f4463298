//! Threads whose panics do not go unnoticed, since somebody may be waiting for what they were to do, and the
//! sleep of a thread that sees to what is due by time.
#![forbid(unsafe_code)]

use log::warn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Does `work` in a thread of this name; `panicked` is called there if it panics.
///
/// # Errors
/// When the system has no thread left.
pub(crate) fn start(
    name: &str,
    work: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(|| guarded(work, panicked)).map(drop)
}

/// The same, but never failing: where no thread is left, `work` is done here and now. Not to be
/// called with anything locked.
pub(crate) fn start_or_do(
    name: &str,
    work: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) {
    let both = Arc::new(Mutex::new(Some((work, panicked))));
    let take = |both: &Mutex<Option<_>>| both.lock().unwrap_or_else(PoisonError::into_inner).take();
    let handed = Arc::clone(&both);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some((work, panicked)) = take(&handed) {
            guarded(work, panicked);
        }
    });
    if let Err(error) = started {
        warn!("cannot start a thread ({error}): what comes next has to wait");
        if let Some((work, panicked)) = take(&both) {
            guarded(work, panicked);
        }
    }
}

fn guarded(work: impl FnOnce(), panicked: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        panicked();
    }
}

/// The sleep of one thread, which is woken when something becomes due earlier.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    sleep: Mutex<Sleep>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Sleep {
    /// Until when, as far as is known; `None` while there is nothing to wake up for, and while awake.
    until: Option<Instant>,
    /// Something became due earlier than that.
    cut_short: bool,
}

impl Clock {
    /// Says that the sleeper looks at everything that may be due from now on: [`Clock::wake_by`] for
    /// what it might miss keeps it from falling asleep.
    pub(crate) fn look(&self) {
        *self.lock() = Sleep::default();
    }

    /// Sleeps until `due`, for ever if that is `None`, or until woken.
    pub(crate) fn sleep(&self, due: Option<Instant>) {
        let mut sleep = self.lock();
        sleep.until = due;
        while !sleep.cut_short && due.is_none_or(|due| due > Instant::now()) {
            sleep = match due {
                None => self.woken.wait(sleep).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    self.woken.wait_timeout(sleep, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Wakes the sleeper if it would sleep past `due`.
    pub(crate) fn wake_by(&self, due: Option<Instant>) {
        let Some(due) = due else { return };
        let mut sleep = self.lock();
        if sleep.until.is_none_or(|until| due < until) && !sleep.cut_short {
            sleep.cut_short = true;
            self.woken.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sleep> {
        self.sleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_panic_is_told() {
        let (told, tells) = channel();
        start_or_do("test", || panic!("as this test wants"), move || told.send(1).unwrap());
        assert_eq!(tells.recv(), Ok(1));
        let (told, tells) = channel();
        start("test", || panic!("as this test wants"), move || told.send(2).unwrap()).unwrap();
        assert_eq!(tells.recv(), Ok(2));
    }

    #[test]
    fn what_becomes_due_earlier_cuts_a_sleep_short() {
        let clock = Arc::new(Clock::default());
        let late = Instant::now() + Duration::from_secs(3600);
        clock.look();
        let sleeper = thread::spawn({
            let clock = Arc::clone(&clock);
            move || clock.sleep(Some(late))
        });
        while clock.lock().until != Some(late) {
            thread::yield_now();
        }
        clock.wake_by(Some(late + Duration::from_secs(1)));
        clock.wake_by(None);
        assert!(!sleeper.is_finished());
        clock.wake_by(Some(Instant::now()));
        sleeper.join().unwrap();
    }

    #[test]
    fn what_becomes_due_while_the_sleeper_looks_keeps_it_awake() {
        let clock = Clock::default();
        clock.look();
        clock.wake_by(Some(Instant::now() + Duration::from_secs(3600)));
        clock.sleep(None);
    }
}
