//! What is wanted, and why it could not be done.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::time::Duration;

use crate::admission::Channel;
use kerneld_protocol::wire::Layout;

/// What to run, and where the daemon's queue is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the daemon's queue is looked for, anew at each call of the program.
    pub channel: Channel,
    /// How long a call waits for the daemon's queue to exist before it fails with ENODEV.
    pub wait: Duration,
    /// In which layout the program sends, for the daemon to know where a request's bytes leave it open.
    pub layout: Option<Layout>,
    /// Whether the supervisor says on standard error what it answers.
    pub verbose: bool,
    /// The program, looked for in `PATH` when its name holds no slash.
    pub program: OsString,
    /// The program's arguments, without its name.
    pub arguments: Vec<OsString>,
}

/// Why the program could not be started.
#[derive(Debug)]
pub struct Failure {
    /// The exit status, as `env` and `nohup` have them: 127 when the program was not found, 126
    /// when it could not be executed, 125 when `kdrun` itself failed.
    pub status: u8,
    /// A sentence for the person who typed the command.
    pub message: String,
}

impl Failure {
    /// A failure of `kdrun` itself.
    pub(crate) fn ours(message: impl Into<String>) -> Self {
        Self { status: 125, message: message.into() }
    }
}
