//! `kdsend`: sends one request to kerneld, as modutils' program of that name did.
#![forbid(unsafe_code)]

use crate::tool::{Connection, EXIT_REFUSED, failed};
use clap::{CommandFactory, Parser};
use kerneld_protocol::client::{Answer, Failure};
use kerneld_protocol::number::atoi;
use kerneld_protocol::request::Command;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

/// Sends a request to kerneld.
///
/// Exit status: 0 when sent; with -r the status that the answer carries (0 to 255), 126 when that is
/// a negative errno (reported on standard error), 125 when no kerneld serves the queue, 124 when no
/// answer came within --timeout.
#[derive(Parser)]
#[command(name = "kdsend", version)]
struct Cli {
    /// Wait for the answer and print it
    #[arg(short)]
    r: bool,
    /// Exit with the answer's length in bytes, as the old kdsend did
    #[arg(long, requires = "r")]
    historical_exit: bool,
    #[command(flatten)]
    connection: Connection,
    /// Number or name of the request (request_module is 2…); 0, or anything that is neither, means 1
    #[arg(value_name = "TYPE", allow_negative_numbers = true)]
    command: String,
    /// What it is about: a module, an address…
    #[arg(allow_hyphen_values = true, default_value = "")]
    text: OsString,
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as CommandFactory>::command()
}

/// Does what the command line says; the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    send(&cli).unwrap_or_else(|failure| failed("kdsend", failure))
}

fn send(cli: &Cli) -> Result<ExitCode, Failure> {
    let client = cli.connection.open()?;
    let command = number(&cli.command);
    if !cli.r {
        client.post(command, cli.text.as_bytes(), cli.connection.timeout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.ask(command, cli.text.as_bytes(), cli.connection.timeout)?;
    print(&answer);
    Ok(exit_code(&answer, cli.historical_exit))
}

/// A name, or a number as atoi reads it, where 0 means 1.
fn number(text: &str) -> Command {
    Command::from_name(text).unwrap_or_else(|| match atoi(text) {
        number @ 1.. => Command::from_number(number),
        _ => Command::System,
    })
}

/// The old program's line, its spelling included.
fn print(answer: &Answer) {
    let mut line = format!("recieved {} bytes: '", answer.mtext_len).into_bytes();
    line.extend_from_slice(&answer.text);
    line.extend_from_slice(b"'\n");
    // A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(&line);
}

fn exit_code(answer: &Answer, historical: bool) -> ExitCode {
    if historical {
        return ExitCode::from(answer.mtext_len.to_le_bytes()[0]);
    }
    if answer.status < 0 {
        let errno = nix::errno::Errno::from_raw(-answer.status);
        eprintln!("kdsend: answered {} ({errno})", answer.status);
        return ExitCode::from(EXIT_REFUSED);
    }
    ExitCode::from(u8::try_from(answer.status).unwrap_or(u8::MAX))
}
