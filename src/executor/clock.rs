//! When something is due next: the thread that sees to it sleeps here, and is woken when something
//! becomes due earlier.
#![forbid(unsafe_code)]

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The sleep of one thread.
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
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

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
