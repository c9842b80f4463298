//! The daemon's state: asked for with the old words, printed as answered or as JSON.

use kerneld_protocol::client::Failure;
use kerneld_protocol::request::Command;
use kerneld_tools::tool::Connection;
use serde::Serialize;
use std::io::Write;

/// What the daemon answers to these words.
pub fn ask(connection: &Connection, words: &[String]) -> Result<Vec<u8>, Failure> {
    let words = words.join(" ");
    Ok(connection.open()?.ask(Command::Debug, words.as_bytes(), connection.timeout)?.text)
}

/// Prints an answer.
pub fn show(text: &[u8], json: bool) -> Result<(), String> {
    if json {
        return crate::print_json(&State::parse(&String::from_utf8_lossy(text))?).map(drop);
    }
    // As it is, and not for a terminal's sake alone. A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(text);
    Ok(())
}

/// The answer's text (`kdstat.8` of modutils 2.4), taken apart.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct State<'a> {
    version: &'a str,
    pid: u32,
    /// Seconds.
    delay: u32,
    keep: bool,
    debug: bool,
    /// How many messages `flush` dropped; none without that word.
    flushed: Option<u64>,
    /// Newest first.
    jobs: Vec<Job<'a>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Job<'a> {
    /// The helper's; none before it runs.
    pid: Option<u32>,
    command: &'a str,
    text: &'a str,
    /// The pid that the request carries (low 16 bits, signed); none in the old protocol.
    sender: Option<i16>,
}

impl<'a> State<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let not_understood = |line: &str| format!("cannot understand kerneld's answer: {line:?}");
        let mut lines = text.lines().peekable();
        let flushed = lines.peek().and_then(|line| parse_flushed(line));
        if flushed.is_some() {
            lines.next();
        }
        let line = lines.next().unwrap_or_default();
        let mut state = Self::parse_first(line).ok_or_else(|| not_understood(line))?;
        state.flushed = flushed;
        let jobs = lines.filter(|line| !matches!(*line, "no jobs waiting" | "job queue:"));
        state.jobs = jobs
            .map(|line| Job::parse(line).ok_or_else(|| not_understood(line)))
            .collect::<Result<_, _>>()?;
        Ok(state)
    }

    fn parse_first(line: &'a str) -> Option<Self> {
        let mut parts = line.split(", ");
        Some(State {
            version: parts.next()?.strip_prefix("Version ")?,
            pid: parts.next()?.strip_prefix("pid=")?.parse().ok()?,
            delay: parts.next()?.strip_prefix("delay=")?.parse().ok()?,
            keep: parts.next()? == "keep",
            debug: parts.next()? == "debug",
            flushed: None,
            jobs: Vec::new(),
        })
    }
}

fn parse_flushed(line: &str) -> Option<u64> {
    line.strip_prefix("flushed ")?.strip_suffix(" entries")?.parse().ok()
}

impl<'a> Job<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (pid, rest) = line.strip_prefix("pid ")?.split_once(", type ")?;
        let (command, rest) = rest.split_once(" ('")?;
        let (text, from) = rest.rsplit_once("')")?;
        let sender = match from {
            "" => None,
            from => Some(from.strip_prefix(" from pid ")?.parse().ok()?),
        };
        Some(Job { pid: Some(pid.parse().ok()?).filter(|pid| *pid != 0), command, text, sender })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let text = "flushed 3 entries\nVersion 2.4.27, pid=12, delay=60, nokeep, debug\njob queue:\n\
                    pid 0, type delayed_release_module ('it's ('x')') from pid -2\n\
                    pid 7, type request_module ('ppp')\n";
        let (command, text_of) = ("delayed_release_module", "it's ('x')");
        let state = State {
            version: "2.4.27",
            pid: 12,
            delay: 60,
            keep: false,
            debug: true,
            flushed: Some(3),
            jobs: vec![
                Job { pid: None, command, text: text_of, sender: Some(-2) },
                Job { pid: Some(7), command: "request_module", text: "ppp", sender: None },
            ],
        };
        assert_eq!(State::parse(text), Ok(state));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for text in ["", "Version 1", "Version 1, pid=2, delay=3, keep, debug\npid x"] {
            assert!(State::parse(text).unwrap_err().contains("cannot understand"));
        }
    }
}
