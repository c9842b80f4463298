//! The command line.
#![forbid(unsafe_code)]

use std::ffi::{OsString, c_int};
use std::io::Write;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use kerneld_protocol::defaults::parse_key;
use kerneld_protocol::queue::DEFAULT_KEY;
use kerneld_protocol::wire::Layout;

use crate::admission::Channel;
use crate::options::Options;
use crate::program::run;

/// Runs PROGRAM so that its msgget calls with IPC_KERNELD return the queue of the kerneld daemon.
///
/// PROGRAM takes this process's place: its pid, terminal, signals and exit status are as if it had
/// been started directly. Its children are served too, for as long as one lives.
#[derive(Parser)]
#[command(
    name = "kdrun",
    version,
    override_usage = "kdrun [--key KEY | --qid ID] [--wait SECONDS] [--layout LAYOUT] [--verbose] PROGRAM [ARG]..."
)]
struct Arguments {
    /// The key of the daemon's queue, decimal or 0x…
    #[arg(long, value_parser = parse_key, default_value_t = DEFAULT_KEY, hide_default_value = true)]
    key: i32,
    /// The id of the daemon's queue, in place of its key.
    #[arg(long, value_name = "ID", conflicts_with = "key")]
    qid: Option<i32>,
    /// How long a call waits for the daemon's queue to exist; then, and at once without this
    /// option, it fails with ENODEV.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u32,
    /// The layout in which PROGRAM sends, should kerneld mistake it: ilp32-old, ilp32-new, lp64-old, lp64-new,
    /// or one of these with -be appended for big-endian. Put into the environment as KERNELD_LAYOUT.
    #[arg(long)]
    layout: Option<Layout>,
    /// Say on standard error how each intercepted call is answered.
    #[arg(long, short)]
    verbose: bool,
    /// The program and its arguments.
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl From<Arguments> for Options {
    fn from(mut arguments: Arguments) -> Self {
        let program = arguments.command.remove(0);
        Options {
            channel: arguments.qid.map_or(Channel::Key(arguments.key), Channel::Id),
            wait: Duration::from_secs(arguments.wait.into()),
            layout: arguments.layout,
            verbose: arguments.verbose,
            program,
            arguments: arguments.command,
        }
    }
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the words of the command line say; returns only with the exit status of a failure, or of help.
#[must_use]
pub fn start(words: Vec<OsString>) -> c_int {
    let failure = match Arguments::try_parse_from(words) {
        Ok(arguments) => run(&arguments.into()),
        Err(usage) => return explain(&usage),
    };
    let _ = writeln!(std::io::stderr(), "kdrun: {}", failure.message);
    failure.status.into()
}

/// Prints help or a usage error; the latter's exit status leaves 1 to 124 to PROGRAM.
fn explain(usage: &clap::Error) -> c_int {
    let _ = usage.print();
    if usage.use_stderr() { 125 } else { 0 }
}
