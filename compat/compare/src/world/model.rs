//! The model as a subject: its world has a virtual clock.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::model::{Build, OldKerneld};
use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world::stage::environment;
use crate::world::{Remains, Sent, World, play};
use nix::sys::signal::Signal;

struct ModelWorld<'a> {
    now: u64,
    kerneld: OldKerneld,
    scenario: &'a Scenario,
}

/// Runs a scenario on the model.
///
/// # Errors
/// [`Error::Side`]: a step makes no sense.
pub fn run(scenario: &Scenario, build: Build) -> Result<Observation, Error> {
    let env = environment().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let kerneld = OldKerneld::new(scenario.plan.clone(), &scenario.programs, env, build);
    let mut world = ModelWorld { now: 0, kerneld, scenario };
    let started = world.start();
    started.and_then(|()| play(scenario, &mut world)).map_err(Error::Side)
}

impl World for ModelWorld<'_> {
    fn now(&self) -> u64 {
        self.now
    }

    fn pass(&mut self, until: u64) {
        let next = self.kerneld.next_event().filter(|next| *next > self.now);
        self.now = next.map_or(until, |next| next.min(until));
        self.kerneld.live(self.now);
    }

    fn send(&mut self, mtype: i64, mtext: &[u8]) -> Result<Sent, String> {
        let sent = self.kerneld.channel.as_mut().is_some_and(|channel| channel.send(mtype, mtext));
        self.kerneld.live(self.now);
        Ok(if sent { Sent::Done } else { Sent::NotYet })
    }

    fn room(&self) -> u64 {
        self.kerneld.channel.as_ref().map_or(0, |channel| channel.room() as u64)
    }

    fn settle(&mut self, _helper: bool) {}

    fn fetch(&mut self, mtype: i64) -> Option<Vec<u8>> {
        let (_, mtext) = self.kerneld.channel.as_mut()?.receive(mtype)?;
        self.kerneld.live(self.now);
        Some(mtext)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        match signal {
            Signal::SIGHUP => self.kerneld.hang_up(),
            Signal::SIGSTOP | Signal::SIGCONT => self.kerneld.stop(signal == Signal::SIGSTOP),
            Signal::SIGTERM | Signal::SIGKILL | Signal::SIGINT => self.kerneld.end(),
            other => return Err(format!("the model knows nothing of {other}")),
        }
        self.kerneld.live(self.now);
        Ok(())
    }

    fn ended(&mut self) -> bool {
        !self.kerneld.alive()
    }

    fn start(&mut self) -> Result<(), String> {
        self.kerneld.start(&self.scenario.words, self.now);
        Ok(())
    }

    fn place(&mut self, program: &str, there: bool) -> Result<(), String> {
        if there {
            self.kerneld.children.programs.insert(program.to_owned());
        } else {
            self.kerneld.children.programs.remove(program);
        }
        Ok(())
    }

    fn quiet(&self) -> bool {
        self.kerneld.children.quiet()
    }

    fn finish(&mut self) -> Result<Remains, String> {
        let mut messages = Vec::new();
        while let Some(message) = self.kerneld.channel.as_mut().and_then(|channel| channel.receive(0)) {
            messages.push(message);
        }
        let runs = std::mem::take(&mut self.kerneld.children.runs);
        Ok(Remains { runs, messages, late: 0 })
    }
}
