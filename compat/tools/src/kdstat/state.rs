//! The daemon's state: asked for with the old words, printed as answered or as JSON.

use crate::tool::Connection;
use kerneld_protocol::client::Failure;
use kerneld_protocol::kdstat::State;
use kerneld_protocol::request::Command;
use std::io::Write;

/// What the daemon answers to these words.
pub fn ask(connection: &Connection, words: &[String]) -> Result<Vec<u8>, Failure> {
    let words = words.join(" ");
    Ok(connection.open()?.ask(Command::Debug, words.as_bytes(), connection.timeout)?.text)
}

/// Prints an answer.
pub fn show(text: &[u8], json: bool) -> Result<(), String> {
    if json {
        let text = String::from_utf8_lossy(text);
        let state = State::parse(&text).map_err(|error| error.to_string())?;
        return super::output::print_json(&state).map(drop);
    }
    // As it is, and not for a terminal's sake alone. A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(text);
    Ok(())
}
