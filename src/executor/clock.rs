//! What is due by time: one thread that sleeps until the next deadline.

use super::{Executor, State};
use crate::executor::delays::Delayed;
use crate::executor::jobs::{JobId, Submitted};
use crate::order::task::Task;
use crate::queue::outbox::Outbox;
use log::{debug, warn};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

impl State {
    fn next_deadline(&self, outbox: &Outbox) -> Option<Instant> {
        let outbox = outbox.next_deadline(Instant::now());
        let jobs = self.jobs.next_deadline();
        let delays = self.delays.next_deadline();
        [jobs, delays, outbox, self.stale.next_look(), self.sweep].into_iter().flatten().min()
    }
}

impl Executor {
    /// Does what is due, for as long as the daemon lives.
    pub(super) fn keep_time(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            for job in state.jobs.expire(now) {
                warn!("{} found no free place among {} helpers", job.task, state.jobs.running());
                self.settle_job(&job, &(-libc::ETIME).into(), None);
            }
            let due = state.delays.due(now);
            let starts = self.release_due(&mut state, due);
            let mut outbox = self.outbox();
            state.stale.look(now, |mtype| outbox.owns(mtype));
            outbox.tend(now);
            drop(outbox);
            let sweeps = self.sweep_is_due(&mut state, now);
            if sweeps || !starts.is_empty() {
                drop(state);
                if sweeps {
                    self.aside(|executor| executor.sweep());
                }
                for id in starts {
                    self.swiftly(move |executor| executor.begin(id));
                }
                state = self.lock();
                continue;
            }
            let deadline = state.next_deadline(&self.outbox());
            state.armed = deadline;
            state = self.wait_until(state, deadline);
        }
    }

    /// Makes jobs of the releases whose time has come; those that may start.
    fn release_due(&self, state: &mut State, due: Vec<Delayed>) -> Vec<JobId> {
        let mut starts = Vec::new();
        for Delayed { name, waiter } in due {
            if state.switches.keep {
                debug!("delayed release of {name}: ignored, keep is set");
                self.settle(waiter, 0);
            } else if let Submitted::Start(id) = state.jobs.submit(Task::Unload(name), waiter, Instant::now())
            {
                starts.push(id);
            }
        }
        starts
    }

    /// Wakes the clock if something is due before it would look by itself.
    pub(super) fn rearm(&self, state: MutexGuard<'_, State>) {
        let due = state.next_deadline(&self.outbox());
        if due.is_some_and(|due| state.armed.is_none_or(|armed| due < armed)) {
            self.changed.notify_all();
        }
    }
}
