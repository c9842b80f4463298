//! What is due by time: delayed releases, waits for a place, answers to try again, sweeps.
#![forbid(unsafe_code)]

use super::decision::kept;
use super::delays::Delayed;
use super::life::Life;
use crate::order::task::Task;
use log::{debug, warn};
use std::sync::Arc;
use std::time::Instant;

impl Life {
    /// Does what is due by time, for ever. `look` is called each time, and says when it wants to be next.
    pub(crate) fn keep_time(self: &Arc<Self>, mut look: impl FnMut(Instant) -> Instant) {
        loop {
            self.clock.look();
            let now = Instant::now();
            self.expire_jobs(now);
            self.release_due(now);
            self.answers.tend(now);
            self.sweep_if_due(now);
            let next_look = look(now);
            self.clock.sleep(self.next_deadline().into_iter().chain([next_look]).min());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let due = [self.work.next_deadline(), self.answers.next_deadline(), self.care.next_sweep()];
        due.into_iter().flatten().min()
    }

    fn expire_jobs(&self, now: Instant) {
        let (expired, running) = self.work.expire(now);
        for job in expired {
            warn!("{} found no free place among {running} helpers", job.task);
            self.answers.answer_all(&job.waiters, -libc::ETIME, &[], None);
        }
    }

    /// Delayed releases whose time has come are requests like others now.
    fn release_due(self: &Arc<Self>, now: Instant) {
        for Delayed { name, waiter } in self.work.due(now) {
            if self.status.switches().keep {
                debug!("ignored: delayed {}", kept(&name));
                self.answer(waiter, 0, &[]);
            } else if let Some(job) = self.fold(Task::Unload(name), waiter) {
                self.here_if_quick(job, move |life| life.start(job));
            }
        }
    }

    fn sweep_if_due(self: &Arc<Self>, now: Instant) {
        let interval = self.status.switches().sweep_interval();
        if let Some(sweep) = self.care.due_sweep(now, interval, &self.settings().modules) {
            self.then_plan_sweep(|| sweep.carry_out());
        }
    }

    pub(super) fn then_plan_sweep(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        self.in_own_thread(None, move |life| {
            work();
            life.plan_sweep();
        });
    }

    pub(super) fn plan_sweep(&self) {
        self.clock.wake_by(self.care.plan_sweep(self.status.switches().sweep_interval()));
    }
}
