//! What each order comes to.

use super::{Executor, State, set_log_level};
use crate::action::{Action, Order, Task};
use crate::jobs::{Submitted, Waiter};
use crate::policy::{self, ModuleName, PersistNumbers, Refusal};
use crate::status::{flushable, render};
use kerneld_compat::journal::Accepted;
use kerneld_compat::request::Request;
use kerneld_compat::sender::Sender;
use log::{debug, info, warn};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Refused system commands that are remembered, so that each is logged once.
const REMEMBERED: usize = 1000;

impl Executor {
    pub(super) fn carry_out(&self, Order { reply, command, text, verdict }: Order) {
        let sender = Sender::find(&reply, self.last_sender());
        let request = self.journal.accepted(command, &text, reply, sender);
        let waiter = Waiter { request, reply };
        match verdict {
            Ok(action) => self.act(action, waiter),
            Err(refusal) => self.refuse(&refusal, waiter),
        }
    }

    /// Carries out what a daemon before us left unanswered: loads and unloads again, delayed ones with
    /// their whole delay; the rest is answered -EINTR, since doing it twice may not be the same.
    pub fn recover(self: &Arc<Self>, requests: Vec<Accepted>) {
        for accepted in requests {
            let waiter = Waiter { request: accepted.request, reply: accepted.reply };
            let request =
                Request { command: accepted.command(), text: &accepted.text.0, reply: accepted.reply };
            info!("{} '{}' is left from before: taken up again", request.command, accepted.text);
            let action = policy::judge(&request, PersistNumbers { get: 0, set: 0 });
            let executor = Arc::clone(self);
            match action {
                Ok(action @ (Action::Load(_) | Action::Unload(_) | Action::UnloadLater(_))) => {
                    thread::spawn(move || executor.act(action, waiter));
                }
                _ => self.answer(waiter, -libc::EINTR),
            }
        }
    }

    /// Who sent last, unless that was us.
    fn last_sender(&self) -> Option<i32> {
        let sender = self.queue.stat().ok()?.last_sender;
        (sender.cast_unsigned() != std::process::id()).then_some(sender)
    }

    fn act(&self, action: Action, waiter: Waiter) {
        match action {
            Action::Load(name) => self.submit(Task::Load(name), waiter),
            Action::Unload(name) => self.release(name, waiter),
            Action::UnloadLater(name) => self.release_later(name, waiter),
            Action::CancelUnload(name) => self.cancel(&name, waiter),
            Action::Route(address) => self.route(address, waiter),
            Action::Blanker(true) => self.blank(waiter),
            Action::Blanker(false) => self.unblank(waiter),
            Action::System(text) => self.system(&text, waiter),
            Action::GetPersist(_) | Action::SetPersist(_) => self.answer(waiter, 1),
            Action::Status(words) => self.tell_status(&words, waiter),
            Action::Unknown(command) => {
                warn!("{command} is not served");
                self.answer(waiter, 1);
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, waiter: Waiter) {
        warn!("refused: {refusal}");
        self.answer(waiter, -refusal.errno);
    }

    fn release(&self, name: ModuleName, waiter: Waiter) {
        if self.lock().switches.keep {
            debug!("release of {name}: ignored, keep is set");
            return self.answer(waiter, 0);
        }
        self.submit(Task::Unload(name), waiter);
    }

    fn release_later(&self, name: ModuleName, waiter: Waiter) {
        let mut state = self.lock();
        if state.stopping {
            return self.settle(&mut state, waiter, -libc::ENODEV);
        }
        if state.switches.keep {
            debug!("delayed release of {name}: ignored, keep is set");
            return self.settle(&mut state, waiter, 0);
        }
        let due = Instant::now() + Duration::from_secs(state.switches.delay.into());
        debug!("release of {name} in {} s", state.switches.delay);
        state.delays.add(name, waiter, due);
        self.rearm(state);
    }

    /// Those whose release is cancelled are answered 0, as is the one who cancels.
    fn cancel(&self, name: &ModuleName, waiter: Waiter) {
        let mut state = self.lock();
        for delayed in state.delays.cancel(name) {
            debug!("release of {name} is cancelled");
            self.settle(&mut state, delayed.waiter, 0);
        }
        self.settle(&mut state, waiter, 0);
        self.rearm(state);
    }

    fn route(&self, address: IpAddr, waiter: Waiter) {
        if self.settings().route_helper.is_none() {
            debug!("no helper for a route to {address}");
            return self.answer(waiter, 0);
        }
        self.submit(Task::Route(address), waiter);
    }

    fn blank(&self, waiter: Waiter) {
        if self.lock().jobs.of(&Task::Blanker).is_some() {
            return self.answer(waiter, 0);
        }
        self.submit(Task::Blanker, waiter);
    }

    /// The blanker's exit answers the request that ended it.
    fn unblank(&self, waiter: Waiter) {
        let mut state = self.lock();
        let Some((job, blanker)) = state.blanker.clone() else {
            self.settle(&mut state, waiter, 1);
            return self.rearm(state);
        };
        state.jobs.join(job, waiter);
        blanker.quit();
    }

    fn system(&self, text: &[u8], waiter: Waiter) {
        let text = String::from_utf8_lossy(text).into_owned();
        if self.settings().system_command(&text).is_none() {
            if self.lock().first_refusal_of(&text) {
                warn!("refused: system command '{}' is not in the configuration", text.escape_debug());
            }
            return self.answer(waiter, -libc::EPERM);
        }
        let serial = self.lock().jobs.next_id();
        self.submit(Task::System(text, serial), waiter);
    }

    pub(super) fn submit(&self, task: Task, waiter: Waiter) {
        debug!("{task} from pid {}", waiter.reply.pid);
        let mut state = self.lock();
        if state.stopping {
            return self.settle(&mut state, waiter, -libc::ENODEV);
        }
        match state.jobs.submit(task, waiter, Instant::now()) {
            Submitted::Start(id) => {
                drop(state);
                self.run(id);
            }
            Submitted::Joined => {}
            Submitted::Waits => self.rearm(state),
        }
    }

    fn tell_status(&self, words: &str, waiter: Waiter) {
        let mut state = self.lock();
        let mut flushed = None;
        for word in words.split_whitespace() {
            if word == "flush" {
                *flushed.get_or_insert(0) += self.flush(&state);
            } else if !state.switches.set(word) {
                debug!("kdstat's word {word:?} says nothing: ignored");
            }
        }
        set_log_level(state.switches);
        let text = render(&state.switches, flushed, &state.jobs, &state.delays);
        drop(state);
        self.answer_text(waiter, 0, text.as_bytes());
    }

    /// Drops what nobody here serves; requests and answers that clients wait for go back.
    fn flush(&self, state: &State) -> usize {
        let dropped = self.queue.sift(|mtype, _| !flushable(mtype) || state.outbox.owns(mtype));
        dropped.unwrap_or_else(|errno| {
            warn!("flush: {}", errno.desc());
            0
        })
    }
}

impl State {
    fn first_refusal_of(&mut self, text: &str) -> bool {
        self.refused_commands.len() < REMEMBERED && self.refused_commands.insert(text.to_owned())
    }
}
