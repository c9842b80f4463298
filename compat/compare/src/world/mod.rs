//! Running a scenario: the same steps in the same order, in real time on a real queue or in virtual
//! time on the model's.
#![forbid(unsafe_code)]

use crate::left::Left;
use crate::observe::{Asked, Observation, Outcome, Run, shown};
use crate::scenario::{Outgoing, Scenario, Step};
use kerneld_protocol::wire::{Layout, Message};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;

pub mod model;
pub(crate) mod process;
pub(crate) mod real;
pub(crate) mod stage;

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on the queue.
    Done,
    /// There is no room, or no queue: try again.
    NotYet,
}

/// The commands for which a helper is started at once: system, request_module, release_module, request_route
/// and screenblanker.
const HELPED: [i64; 5] = [1, 2, 3, 6, 7];

/// Milliseconds that are watched after the last step at least.
const LEAST_WATCH: u64 = 300;

/// Milliseconds that a daemon may take to end on a busy machine.
const END_LIMIT: u64 = 60_000;

/// Bytes of text in each message that fills the queue.
const FILLING: usize = 1024;

/// What is there when a scenario is over.
pub(crate) struct Remains {
    /// The helpers that ran.
    pub runs: Vec<Run>,
    /// The messages left on the queue: type and mtext.
    pub messages: Vec<(i64, Vec<u8>)>,
    /// Milliseconds by which something of ours, or a helper, came late at most.
    pub late: u64,
}

/// Bytes of text that tell a message left on the queue from others.
const SHORT: usize = 24;

/// Where a scenario runs. Times are milliseconds since its start.
pub(crate) trait World {
    /// The time now.
    fn now(&self) -> u64;
    /// Lets time pass: until something may have happened, at most to `until`.
    fn pass(&mut self, until: u64);
    /// Puts a message on the queue.
    ///
    /// # Errors
    /// A sentence: the queue refuses for another reason than being full or gone.
    fn send(&mut self, mtype: i64, mtext: &[u8]) -> Result<Sent, String>;
    /// Bytes of mtext that find room on the queue; 0 without one.
    fn room(&self) -> u64;
    /// Waits until the daemon has had a fair chance to read what was sent, and to start a helper for it.
    fn settle(&mut self, helper: bool);
    /// Takes a message of just this type, if there is one.
    fn fetch(&mut self, mtype: i64) -> Option<Vec<u8>>;
    /// Sends the daemon a signal.
    ///
    /// # Errors
    /// A sentence: there is no daemon.
    fn signal(&mut self, signal: Signal) -> Result<(), String>;
    /// Whether the daemon has ended.
    fn ended(&mut self) -> bool;
    /// Starts the daemon.
    ///
    /// # Errors
    /// A sentence: it did not start.
    fn start(&mut self) -> Result<(), String>;
    /// Makes a helper's file appear or go.
    ///
    /// # Errors
    /// A sentence: the file system refuses.
    fn place(&mut self, program: &str, there: bool) -> Result<(), String>;
    /// Whether no helper runs that the daemon started.
    fn quiet(&self) -> bool;
    /// Helpers seen so far, and what is on the queue, which this empties.
    ///
    /// # Errors
    /// A sentence: the records cannot be read.
    fn finish(&mut self) -> Result<Remains, String>;
}

struct Client {
    name: String,
    message: Outgoing,
    asked: u64,
    sent: bool,
    outcome: Outcome,
}

impl Client {
    fn waits(&self) -> bool {
        matches!(self.outcome, Outcome::Never | Outcome::NotSent)
    }
}

struct Play<'a, W> {
    world: &'a mut W,
    clients: Vec<Client>,
    filling: Vec<i64>,
    /// Messages of no client that found no room.
    unsent: usize,
    /// Whether the daemon was told to end.
    told_to_end: bool,
}

/// Runs a scenario in a world whose daemon has been started.
///
/// # Errors
/// A sentence: a step could not be taken.
pub(crate) fn play(scenario: &Scenario, world: &mut impl World) -> Result<Observation, String> {
    let mut play = Play { world, clients: Vec::new(), filling: Vec::new(), unsent: 0, told_to_end: false };
    for step in &scenario.steps {
        if let Some(at) = step.at {
            play.pass_until(at, |_| false)?;
        }
        play.take(&step.step, scenario.limit)?;
    }
    let last = play.world.now();
    let least = last + scenario.watch.max(LEAST_WATCH);
    let most = last + scenario.limit.max(scenario.watch);
    play.pass_until(least, |_| false)?;
    play.pass_until(most, |play| !play.clients.iter().any(Client::waits) && play.world.quiet())?;
    play.finish()
}

impl<W: World> Play<'_, W> {
    /// Goes on, fetching answers, until `done` or that time.
    fn pass_until(&mut self, until: u64, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        loop {
            self.look()?;
            if self.world.now() >= until || done(self) {
                return Ok(());
            }
            self.world.pass(until);
        }
    }

    /// Sends what could not be sent before, and fetches answers.
    fn look(&mut self) -> Result<(), String> {
        for client in self.clients.iter_mut().filter(|client| client.waits()) {
            if !client.sent {
                client.sent = self.world.send(client.message.mtype, &client.message.mtext)? == Sent::Done;
                client.outcome = if client.sent { Outcome::Never } else { Outcome::NotSent };
            }
            if let Some(mtext) = self.world.fetch(client.message.id) {
                let after = self.world.now() - client.asked;
                client.outcome = Outcome::of(client.message.layout, &client.message.mtext, &mtext, after);
            }
        }
        Ok(())
    }

    fn take(&mut self, step: &Step, limit: u64) -> Result<(), String> {
        match step {
            Step::Ask { clients, burst } => self.ask(clients, *burst)?,
            Step::Send(messages) => self.send(messages)?,
            Step::Fill { mtype, leave } => self.fill(*mtype, *leave)?,
            Step::Wait(name) => {
                let until = self.world.now() + limit;
                self.pass_until(until, |play| !play.client(name).is_some_and(Client::waits))?;
            }
            Step::Kill(name) => {
                let killed = self.clients.iter_mut().filter(|client| client.name == *name);
                killed.for_each(|client| client.outcome = Outcome::Killed);
            }
            Step::Signal(signal) => self.signal(*signal)?,
            Step::Start => {
                self.told_to_end = false;
                self.world.start()?;
            }
            Step::Install(program) => self.world.place(program, true)?,
            Step::Remove(program) => self.world.place(program, false)?,
            Step::Pass => {}
        }
        Ok(())
    }

    fn ask(&mut self, clients: &[(String, Outgoing)], burst: bool) -> Result<(), String> {
        for (name, message) in clients {
            let helper = self.wants_helper(message);
            let (name, message, asked) = (name.clone(), message.clone(), self.world.now());
            self.clients.push(Client { name, message, asked, sent: false, outcome: Outcome::NotSent });
            self.look()?;
            if !burst {
                self.world.settle(helper);
            }
        }
        Ok(())
    }

    fn send(&mut self, messages: &[Outgoing]) -> Result<(), String> {
        for message in messages {
            if self.world.send(message.mtype, &message.mtext)? == Sent::NotYet {
                self.unsent += 1;
            }
        }
        self.world.settle(messages.iter().any(|message| self.wants_helper(message)));
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        self.world.signal(signal)?;
        if matches!(signal, Signal::SIGTERM | Signal::SIGKILL | Signal::SIGINT) {
            self.told_to_end = true;
            self.watch_it_end()?;
        }
        Ok(())
    }

    /// Whether a helper is to be started at once: not for one that shares another's.
    fn wants_helper(&self, message: &Outgoing) -> bool {
        let same = |client: &Client| client.waits() && client.message.mtype == message.mtype;
        let shared = |client: &Client| same(client) && client.message.text() == message.text();
        HELPED.contains(&message.mtype) && !self.clients.iter().any(shared)
    }

    /// While it ends, it may still answer.
    fn watch_it_end(&mut self) -> Result<(), String> {
        let give_up = self.world.now() + END_LIMIT;
        while !self.world.ended() {
            if self.world.now() > give_up {
                return Err("the daemon does not end".to_owned());
            }
            self.world.pass(give_up);
            self.look()?;
        }
        Ok(())
    }

    fn fill(&mut self, mtype: i64, leave: u64) -> Result<(), String> {
        self.filling.push(mtype);
        while let room @ 1.. = self.world.room().saturating_sub(leave) {
            self.world.send(mtype, &vec![b'.'; FILLING.min(room as usize)])?;
        }
        // Then the number of messages is the limit.
        while leave == 0 && self.world.send(mtype, &[])? == Sent::Done {}
        Ok(())
    }

    fn client(&self, name: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.name == name)
    }

    fn finish(self) -> Result<Observation, String> {
        let ended = self.world.ended();
        let Remains { mut runs, messages, late } = self.world.finish()?;
        runs.sort_by_key(|run| run.start);
        let mut left = BTreeMap::new();
        if self.unsent > 0 {
            left.insert(Left::Unsent, self.unsent);
        }
        for (mtype, mtext) in messages {
            // How many fill a queue is the system's business.
            let filling = self.filling.contains(&mtype);
            let count = left.entry(self.describe(mtype, &mtext)).or_insert(0);
            *count = if filling { 1 } else { *count + 1 };
        }
        let ended = ended && !self.told_to_end;
        let asked =
            self.clients.into_iter().map(|client| Asked { client: client.name, outcome: client.outcome });
        Ok(Observation { runs, asked: asked.collect(), left, ended, late })
    }

    fn describe(&self, mtype: i64, mtext: &[u8]) -> Left {
        if self.filling.contains(&mtype) {
            return Left::Filling { mtype };
        }
        if let Some(client) = self.clients.iter().find(|client| client.message.id == mtype) {
            let said = status_of(client.message.layout, mtext);
            return Left::Answer { client: client.name.clone(), said };
        }
        let text = shown(Message::decode(mtext).map_or(mtext, |message| message.text));
        Left::Message { mtype, text: Some(text).filter(|text| text.len() <= SHORT) }
    }
}

fn status_of(layout: Layout, mtext: &[u8]) -> String {
    Message::decode_as(layout, mtext)
        .map_or_else(|short| short.to_string(), |message| format!("status {}", message.id))
}
