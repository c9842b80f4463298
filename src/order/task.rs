//! What a helper is run for. Pure.
#![forbid(unsafe_code)]

use super::name::ModuleName;
use kerneld_protocol::request::{Command, ReplyTo};
use std::fmt;
use std::net::IpAddr;

/// What a helper is run for: equal tasks share one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Load a module.
    Load(ModuleName),
    /// Unload a module.
    Unload(ModuleName),
    /// Set up a route.
    Route(IpAddr),
    /// Blank the screen, until asked to stop.
    Blanker,
    /// Run the configured command of this text; the number keeps equal ones apart.
    System(String, u64),
}

impl Task {
    /// The command that asks for it.
    pub fn command(&self) -> Command {
        match self {
            Task::Load(_) => Command::RequestModule,
            Task::Unload(_) => Command::ReleaseModule,
            Task::Route(_) => Command::RequestRoute,
            Task::Blanker => Command::ScreenBlanker,
            Task::System(..) => Command::System,
        }
    }

    /// The request's text.
    pub fn text(&self) -> String {
        match self {
            Task::Load(name) | Task::Unload(name) => name.to_string(),
            Task::Route(address) => address.to_string(),
            Task::Blanker => "on".to_owned(),
            Task::System(text, _) => text.clone(),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.command(), self.text().escape_debug())
    }
}

/// A request that is still owed an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Its number in the journal.
    pub request: u64,
    /// Where the answer goes.
    pub reply: ReplyTo,
}
