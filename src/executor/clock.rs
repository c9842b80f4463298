//! What is due by time: one thread that sleeps until the next deadline.

use super::{Executor, State};
use crate::action::Task;
use crate::delays::Delayed;
use crate::jobs::Submitted;
use log::{debug, warn};
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Instant;

impl State {
    fn next_deadline(&self) -> Option<Instant> {
        let outbox = self.outbox.next_deadline(Instant::now());
        let jobs = self.jobs.next_deadline();
        let delays = self.delays.next_deadline();
        [jobs, delays, outbox, self.stale.next_look(), self.sweep].into_iter().flatten().min()
    }
}

impl Executor {
    /// Does what is due, for as long as the daemon lives.
    pub(super) fn keep_time(self: Arc<Self>) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            for job in state.jobs.expire(now) {
                warn!("{} found no free place among {} helpers", job.task, state.jobs.running());
                self.settle_job(&mut state, &job, &(-libc::ETIME).into(), None);
            }
            let due = state.delays.due(now);
            self.release_due(&mut state, due);
            let State { stale, outbox, .. } = &mut *state;
            stale.look(now, |mtype| outbox.owns(mtype));
            outbox.tend(now);
            self.sweep_if_due(&mut state, now);
            let deadline = state.next_deadline();
            state.armed = deadline;
            state = self.wait_until(state, deadline);
        }
    }

    /// Starts the releases whose time has come, each in a thread of its own: this one keeps time.
    fn release_due(self: &Arc<Self>, state: &mut State, due: Vec<Delayed>) {
        for Delayed { name, waiter } in due {
            if state.switches.keep {
                debug!("delayed release of {name}: ignored, keep is set");
                self.settle(state, waiter, 0);
            } else if let Submitted::Start(id) = state.jobs.submit(Task::Unload(name), waiter, Instant::now())
            {
                let executor = Arc::clone(self);
                thread::spawn(move || executor.begin(id).map(|run| executor.complete(run)));
            }
        }
    }

    /// Wakes the clock if something is due before it would look by itself.
    pub(super) fn rearm(&self, state: MutexGuard<'_, State>) {
        let due = state.next_deadline();
        if due.is_some_and(|due| state.armed.is_none_or(|armed| due < armed)) {
            self.changed.notify_all();
        }
    }
}
