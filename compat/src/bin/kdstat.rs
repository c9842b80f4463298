//! `kdstat`: shows and sets kerneld's state, as modutils' program of that name did.
#![forbid(unsafe_code)]

use clap::Parser;
use kerneld_compat::client::Failure;
use kerneld_compat::request::Command;
use kerneld_compat::tool::{Connection, failed};
use std::io::Write;
use std::process::ExitCode;

/// Shows kerneld's state, after acting on the words given.
///
/// Exit status: 0; 125 when no kerneld serves the queue, 124 when no answer came within --timeout.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// debug, nodebug, keep, nokeep, delay=SECONDS, flush
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match ask(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed("kdstat", failure),
    }
}

fn ask(cli: &Cli) -> Result<(), Failure> {
    let words = cli.words.join(" ");
    let answer = cli.connection.open()?.ask(Command::Debug, words.as_bytes(), cli.connection.timeout)?;
    // A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(&answer.text);
    Ok(())
}
