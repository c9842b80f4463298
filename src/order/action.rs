//! What the executor may be asked to do. Pure.
#![forbid(unsafe_code)]

use super::name::{ModuleName, Refusal};
use kerneld_protocol::request::{Command, ReplyTo};
use std::net::IpAddr;

/// Everything that a request can ask of the executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load a module or what an alias stands for.
    Load(ModuleName),
    /// Unload a module.
    Unload(ModuleName),
    /// Unload a module after the delay.
    UnloadLater(ModuleName),
    /// Forget what [`Action::UnloadLater`] asked for this module.
    CancelUnload(ModuleName),
    /// Set up a route.
    Route(IpAddr),
    /// Screen blanker on (true) or off.
    Blanker(bool),
    /// Run a command, if the configuration lists this very text.
    System(Vec<u8>),
    /// Report a persistent value.
    GetPersist(Vec<u8>),
    /// Change a persistent value.
    SetPersist(Vec<u8>),
    /// Act on kdstat's words and report the state.
    Status(String),
    /// A command that is not served: logged, status 1.
    Unknown(Command),
}

/// A request, as the executor has judged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Where the answer goes.
    pub(crate) reply: ReplyTo,
    /// The request's number.
    pub(crate) command: Command,
    /// The request's text, for the journal.
    pub(crate) text: Vec<u8>,
    /// What to do; or why not, for the answer and the log.
    pub(crate) verdict: Result<Action, Refusal>,
}
