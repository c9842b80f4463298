//! What the command-line tools share: where the queue is, how long to wait, how they end.
#![forbid(unsafe_code)]

use clap::Args;
use kerneld_protocol::client::{Client, Failure};
use kerneld_protocol::defaults::parse_key;
use kerneld_protocol::queue::DEFAULT_KEY;
use kerneld_protocol::wire::Layout;
use std::process::ExitCode;
use std::time::Duration;

/// Exit status when the daemon answers with a negative errno.
pub const EXIT_REFUSED: u8 = 126;

/// Exit status when there is no daemon, or when the queue is not open to us.
pub const EXIT_NO_DAEMON: u8 = 125;

/// Exit status when no answer came in time.
pub const EXIT_TIMED_OUT: u8 = 124;

/// Where the daemon is and how to speak to it.
#[derive(Args, Clone, Copy, Debug)]
pub struct Connection {
    /// The queue's key, decimal or 0x…
    #[arg(long, value_parser = parse_key, default_value_t = DEFAULT_KEY, hide_default_value = true)]
    pub key: i32,
    /// Wait this long for an answer [default: for ever, like the old programs]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Speak as these programs did: ilp32-old, ilp32-new, lp64-old, lp64-new, or, with -be appended, those
    /// of big-endian machines [default: what a program of this machine spoke in the new protocol]
    #[arg(long, default_value_t = Layout::NATIVE, hide_default_value = true)]
    pub layout: Layout,
}

impl Connection {
    /// A client on the queue.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn open(&self) -> Result<Client, Failure> {
        Client::open(self.key, self.layout)
    }
}

/// Reports a failure to a person; returns the exit status for it.
pub fn failed(program: &str, failure: Failure) -> ExitCode {
    eprintln!("{program}: {failure}");
    ExitCode::from(match failure {
        Failure::TimedOut => EXIT_TIMED_OUT,
        Failure::NoDaemon | Failure::Queue(_) => EXIT_NO_DAEMON,
    })
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("{text:?} is not a number of seconds"))
}
