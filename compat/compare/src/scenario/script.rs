//! What a scenario consists of.
#![forbid(unsafe_code)]

use crate::cell_name::CellName;
use crate::pattern::Pattern;
use kerneld_protocol::wire::Layout;
use kerneld_recorder::Plan;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Ids that clients ask their answers under, counted from here as the kernel did (`KERNELD_MINSEQ`, `kerneld.h`).
pub const FIRST_ID: i64 = 0x7fff_0001;

/// A scenario, checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without `.toml`.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// What a daemon must speak to be able to play it.
    pub needs: Needs,
    /// The daemon's words: `keep`, `delay=1`…
    pub words: Vec<String>,
    /// `kerneld.toml` for the new daemon, `{dir}` standing for the folder of the recorded helpers.
    pub config: String,
    /// How helpers behave.
    pub plan: Plan,
    /// Which helpers there are at the start: `modprobe` unless said otherwise.
    pub programs: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<TimedStep>,
    /// Milliseconds to go on watching after the last step, even when nobody waits.
    pub watch: u64,
    /// Milliseconds after the last step, or in a `wait`, when an answer counts as never coming.
    pub limit: u64,
    /// What must be seen, on either side.
    pub expect: Vec<Expectation>,
}

impl Scenario {
    /// Whether the order of helpers is left to chance somewhere.
    pub fn has_burst(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.step, Step::Ask { burst: true, .. }))
    }
}

/// What a daemon must speak to be able to play a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The layouts that its messages name.
    pub layouts: BTreeSet<Layout>,
    /// Whether it is about what only the new protocol has: the sender's pid.
    pub new_protocol: bool,
}

impl Needs {
    /// What a daemon that speaks just these layouts lacks: a sentence; `None` when it lacks nothing.
    pub fn lacking(&self, speaks: &[Layout]) -> Option<String> {
        let strange: Vec<&str> = self
            .layouts
            .iter()
            .filter(|layout| !speaks.contains(layout))
            .map(|layout| layout.name())
            .collect();
        if !strange.is_empty() {
            return Some(format!(
                "it has messages in {}, which the old side does not speak",
                strange.join(", ")
            ));
        }
        let old = self.new_protocol && !speaks.iter().any(|layout| layout.has_pid());
        old.then(|| "it is about the new protocol, which the old side does not speak".to_owned())
    }
}

/// A step and when it is taken.
#[derive(Clone, Debug)]
pub struct TimedStep {
    /// Milliseconds since the start; `None`: right after the step before.
    pub at: Option<u64>,
    /// What is done.
    pub step: Step,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Clients send a request each and wait for its answer. In a burst: without waiting until one
    /// was read before the next is sent, so that their order is left to chance.
    Ask {
        /// The clients and their messages.
        clients: Vec<(String, Outgoing)>,
        /// Whether it is a burst.
        burst: bool,
    },
    /// Messages that no client waits for.
    Send(Vec<Outgoing>),
    /// Messages of a type that nobody serves, until the queue is full.
    Fill {
        /// Their type.
        mtype: i64,
        /// Bytes of room to leave.
        leave: u64,
    },
    /// Nothing, until this client has its answer or the limit is over.
    Wait(String),
    /// The client is killed while it waits: it never fetches its answer.
    Kill(String),
    /// A signal to the daemon.
    Signal(Signal),
    /// The daemon is started (again).
    Start,
    /// A helper's file appears.
    Install(String),
    /// A helper's file goes.
    Remove(String),
    /// Nothing but time passing.
    Pass,
}

/// A message as it goes onto the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The command.
    pub mtype: i64,
    /// Header and text.
    pub mtext: Vec<u8>,
    /// The type its answer will have; 0 for none.
    pub id: i64,
    /// Its layout, which the answer has to keep.
    pub layout: Layout,
}

impl Outgoing {
    /// What follows the header.
    pub fn text(&self) -> &[u8] {
        self.mtext.get(self.layout.header_len()..).unwrap_or_default()
    }
}

/// What must be seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// On which side; both if not said.
    pub side: Option<Side>,
    /// Which cell of the comparison: `answer a status`…
    pub what: CellName,
    /// What it holds.
    pub is: Pattern,
}

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What `--old` names.
    Old,
    /// What `--new` names.
    New,
}
