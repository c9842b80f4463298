//! What each order comes to.

use super::{Executor, State, set_log_level};
use crate::executor::jobs::{Submitted, Waiter};
use crate::executor::status::render;
use crate::intake::source::Source;
use crate::order::action::{Action, Order};
use crate::order::judge::{PersistNumbers, judge};
use crate::order::name::{ModuleName, Refusal};
use crate::order::task::Task;
use kerneld_journal::Accepted;
use kerneld_persist::record::BadRecord;
use kerneld_persist::{StoreError, parse_get, parse_set};
use kerneld_protocol::queue::CAPACITY;
use kerneld_protocol::request::Request;
use kerneld_protocol::sender::Senders;
use log::{debug, info, warn};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Refused system commands that are remembered, so that each is logged once.
const REMEMBERED: usize = 1000;

/// What is asked of the persistent settings.
#[derive(Clone)]
pub(super) enum PersistRequest {
    Get(Vec<u8>),
    Set(Vec<u8>),
}

impl Executor {
    /// Writes an order down and begins with it.
    pub(super) fn accept(self: &Arc<Self>, order: Order, source: &mut Source, senders: &mut Senders) {
        let Order { reply, command, text, verdict } = order;
        let last_sender = self.queue.stat().ok().map(|stat| stat.last_sender);
        let sender = senders.find(&reply, last_sender);
        source.note(self.journal.next_request());
        let request = self.journal.accepted(command, &text, reply, sender);
        source.taken();
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
            match judge(&request, PersistNumbers { get: 0, set: 0 }) {
                Ok(action @ (Action::Load(_) | Action::Unload(_) | Action::UnloadLater(_))) => {
                    self.act(action, waiter);
                }
                _ => self.answer(waiter, -libc::EINTR),
            }
        }
    }

    fn act(self: &Arc<Self>, action: Action, waiter: Waiter) {
        if let Action::Load(name) | Action::Unload(name) | Action::UnloadLater(name) = &action
            && let Err(refusal) = self.settings().rules.allows(name)
        {
            return self.refuse(&refusal, waiter);
        }
        match action {
            Action::Load(name) => self.submit(Task::Load(name), waiter),
            Action::Unload(name) => self.release(name, waiter),
            Action::UnloadLater(name) => self.release_later(name, waiter),
            Action::CancelUnload(name) => self.cancel(&name, waiter),
            Action::Route(address) => self.route(address, waiter),
            Action::Blanker(true) => self.submit(Task::Blanker, waiter),
            Action::Blanker(false) => self.unblank(waiter),
            Action::System(text) => self.system(&text, waiter),
            Action::GetPersist(text) => self.queue_persist(PersistRequest::Get(text), waiter),
            Action::SetPersist(text) => self.queue_persist(PersistRequest::Set(text), waiter),
            Action::Status(words) => self.tell_status(&words, waiter),
            Action::Unknown(command) => {
                warn!("{command} is not served");
                self.answer(waiter, 1)
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, waiter: Waiter) {
        warn!("refused: {refusal}");
        self.answer(waiter, -refusal.errno)
    }

    fn release(self: &Arc<Self>, name: ModuleName, waiter: Waiter) {
        if self.lock().switches.keep {
            debug!("release of {name}: ignored, keep is set");
            return self.answer(waiter, 0);
        }
        self.submit(Task::Unload(name), waiter)
    }

    fn release_later(&self, name: ModuleName, waiter: Waiter) {
        let mut state = self.lock();
        if state.stopping {
            self.settle(waiter, -libc::ENODEV);
            return self.rearm(state);
        }
        if state.switches.keep {
            debug!("delayed release of {name}: ignored, keep is set");
            self.settle(waiter, 0);
            return self.rearm(state);
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
            self.settle(delayed.waiter, 0);
        }
        self.settle(waiter, 0);
        self.rearm(state);
    }

    fn route(self: &Arc<Self>, address: IpAddr, waiter: Waiter) {
        if self.settings().route_helper.is_none() {
            debug!("no helper for a route to {address}");
            return self.answer(waiter, 0);
        }
        self.submit(Task::Route(address), waiter)
    }

    /// The blanker's exit answers the request that ended it.
    fn unblank(&self, waiter: Waiter) {
        let mut state = self.lock();
        let Some((job, blanker)) = state.blanker.clone() else {
            self.settle(waiter, 1);
            return self.rearm(state);
        };
        state.jobs.join(job, waiter);
        blanker.quit();
    }

    fn system(self: &Arc<Self>, text: &[u8], waiter: Waiter) {
        let text = String::from_utf8_lossy(text).into_owned();
        if self.settings().system_command(&text).is_none() {
            if self.lock().first_refusal_of(&text) {
                warn!("refused: system command '{}' is not in the configuration", text.escape_debug());
            }
            return self.answer(waiter, -libc::EPERM);
        }
        let serial = self.lock().jobs.next_id();
        self.submit(Task::System(text, serial), waiter)
    }

    /// One thread at a time sees to these, so that two changes of a key happen in their order.
    fn queue_persist(self: &Arc<Self>, request: PersistRequest, waiter: Waiter) {
        let mut state = self.lock();
        state.persist.push_back((request, waiter));
        let first = state.persist.len() == 1;
        drop(state);
        if first {
            self.aside(|executor| executor.serve_persist());
        }
    }

    fn serve_persist(&self) {
        let mut next = self.lock().persist.front().cloned();
        while let Some((request, waiter)) = next {
            match request {
                PersistRequest::Get(text) => self.get_persist(&text, waiter),
                PersistRequest::Set(text) => self.set_persist(&text, waiter),
            }
            let mut state = self.lock();
            state.persist.pop_front();
            next = state.persist.front().cloned();
        }
    }

    /// The value, and its size as the status; for an unknown key nothing, and 0.
    fn get_persist(&self, text: &[u8], waiter: Waiter) {
        let invalid = |bad: BadRecord| Refusal::new(libc::EINVAL, bad.to_string());
        let found = parse_get(text)
            .map_err(invalid)
            .and_then(|key| self.settings().store.get(&key).map_err(no_store));
        match found.map(Option::unwrap_or_default) {
            Ok(value) if value.len() > CAPACITY - 12 => {
                self.refuse(&Refusal::new(libc::E2BIG, "the value is longer than a message may be"), waiter)
            }
            Ok(value) => self.answer_text(waiter, i32::try_from(value.len()).unwrap_or(i32::MAX), &value),
            Err(refusal) => self.refuse(&refusal, waiter),
        }
    }

    fn set_persist(&self, text: &[u8], waiter: Waiter) {
        let invalid = |bad: BadRecord| Refusal::new(libc::EINVAL, bad.to_string());
        let change = parse_set(text).map_err(invalid);
        match change.and_then(|change| self.settings().store.apply(change.as_slice()).map_err(no_store)) {
            Ok(()) => self.answer(waiter, 0),
            Err(refusal) => self.refuse(&refusal, waiter),
        };
    }

    fn submit(self: &Arc<Self>, task: Task, waiter: Waiter) {
        debug!("{task} from pid {}", waiter.reply.pid);
        let mut state = self.lock();
        if state.stopping {
            self.settle(waiter, -libc::ENODEV);
            return self.rearm(state);
        }
        if matches!(task, Task::Load(_)) {
            self.postpone_sweep(&mut state);
        }
        match state.jobs.submit(task, waiter, Instant::now()) {
            Submitted::Start(id) => {
                drop(state);
                self.begin(id);
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
                *flushed.get_or_insert(0) += self.flush();
            } else if !state.switches.set(word) {
                debug!("kdstat's word {word:?} says nothing: ignored");
            }
        }
        set_log_level(state.switches);
        self.arm_sweep(&mut state);
        let text = render(&state.switches, flushed, &state.jobs, &state.delays);
        drop(state);
        self.answer_text(waiter, 0, text.as_bytes())
    }

    /// Drops what nobody here serves; requests and answers that clients wait for go back.
    fn flush(&self) -> usize {
        let outbox = self.outbox();
        let dropped = self.queue.sift(|mtype, _| self.served.takes(mtype) || outbox.owns(mtype));
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

fn no_store(error: StoreError) -> Refusal {
    Refusal::new(error.errno(), error.to_string())
}
