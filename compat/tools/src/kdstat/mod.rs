//! `kdstat`: shows and sets kerneld's state, as modutils' program of that name did, and shows its journal.
#![forbid(unsafe_code)]

mod output;
mod requests;
mod senders;
mod state;
mod watch;

use crate::tool::{Connection, failed};
use clap::{Args, CommandFactory, Parser, Subcommand};
use kerneld_protocol::defaults::default_state_dir;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows kerneld's state, after acting on the words given; or what its journal says.
///
/// Exit status: 0; 125 when no kerneld serves the queue, 124 when no answer came within --timeout, 1
/// when the journal cannot be read or the answer cannot be understood.
#[derive(Parser)]
#[command(name = "kdstat", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    show: Option<Show>,
    #[command(flatten)]
    connection: Connection,
    /// Print the state as JSON
    #[arg(long)]
    json: bool,
    /// debug, nodebug, keep, nokeep, delay=SECONDS, flush
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

#[derive(Subcommand)]
enum Show {
    /// Show requests as they are answered: when, status, milliseconds, who sent what, what ran
    Watch {
        #[command(flatten)]
        journal: JournalArgs,
        /// Begin with those that the journal still holds
        #[arg(long)]
        all: bool,
    },
    /// Show who sent which requests, how often, and when last
    Senders {
        #[command(flatten)]
        journal: JournalArgs,
    },
}

/// Which journal, and how to show it.
#[derive(Args)]
struct JournalArgs {
    /// The daemon's state directory [default: /run/kerneld for root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl JournalArgs {
    fn dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(default_state_dir)
    }
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the command line says; the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.show {
        Some(Show::Watch { journal, all }) => watch::watch(&journal.dir(), all, journal.json),
        Some(Show::Senders { journal }) => senders::show(&journal.dir(), journal.json),
        None => match state::ask(&cli.connection, &cli.words) {
            Ok(text) => state::show(&text, cli.json),
            Err(failure) => return failed("kdstat", failure),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kdstat: {why}");
            ExitCode::FAILURE
        }
    }
}
