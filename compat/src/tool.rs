//! What the command-line tools share: where the queue and the state are, how long to wait, how they end.
#![forbid(unsafe_code)]

use crate::client::{Client, Failure};
use crate::queue::DEFAULT_KEY;
use crate::wire::Layout;
use clap::Args;
use nix::unistd::Uid;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit status when the daemon answers with a negative errno.
pub const EXIT_REFUSED: u8 = 126;

/// Exit status when there is no daemon, or the queue does not let us in.
pub const EXIT_NO_DAEMON: u8 = 125;

/// Exit status when no answer came in time.
pub const EXIT_TIMED_OUT: u8 = 124;

/// Where the daemon is and how to speak to it.
#[derive(Args, Clone, Copy, Debug)]
pub struct Connection {
    /// The queue's key, decimal or 0x…
    #[arg(long, value_parser = parse_key, default_value_t = DEFAULT_KEY, hide_default_value = true)]
    pub key: i32,
    /// Wait this long for an answer [default: for ever, as of old]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Speak as which programs did: ilp32-old, ilp32-new, lp64-old, lp64-new
    #[arg(long, default_value_t = Layout::Lp64New)]
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

/// Tells a person of a failure; the exit status for it.
pub fn failed(program: &str, failure: Failure) -> ExitCode {
    eprintln!("{program}: {failure}");
    ExitCode::from(match failure {
        Failure::TimedOut => EXIT_TIMED_OUT,
        Failure::NoDaemon | Failure::Queue(_) => EXIT_NO_DAEMON,
    })
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("{text:?} is no number of seconds"))
}

/// Reads a queue's key: decimal, or hexadecimal after `0x` (up to 0xffffffff).
///
/// # Errors
/// A sentence, for a text that is neither.
pub fn parse_key(text: &str) -> Result<i32, String> {
    let key = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(u32::cast_signed),
        None => text.parse().ok(),
    };
    match key {
        Some(0) => Err("key 0 is IPC_PRIVATE: nobody else could open that queue".to_owned()),
        Some(key) => Ok(key),
        None => Err(format!("{text:?} is no key: give a number like 1802861166 or 0x6b65726e")),
    }
}

/// Where the daemon keeps its state unless told otherwise: `/run/kerneld` for root, else a folder of
/// the user's own.
pub fn default_state_dir() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/run/kerneld");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("kerneld"),
        None => std::env::temp_dir().join(format!("kerneld-{}", Uid::effective())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decimal_or_hexadecimal() {
        assert_eq!(parse_key("0x6b65726e"), Ok(0x6b65_726e));
        assert_eq!(parse_key("0xffffffff"), Ok(-1));
        assert_eq!(parse_key("-5"), Ok(-5));
        assert!(parse_key("0").is_err() && parse_key("kern").is_err());
    }
}
