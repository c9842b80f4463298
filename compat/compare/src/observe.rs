//! What was seen of a subject while a scenario ran.
#![forbid(unsafe_code)]

use crate::left::Left;
use kerneld_protocol::wire::{Layout, Message};
use std::collections::BTreeMap;

/// A helper that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// File name of the program.
    pub program: String,
    /// argv without argv\[0\].
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Milliseconds from the scenario's start to its own.
    pub start: u64,
    /// The same to its end; `None` when it was killed or still runs.
    pub end: Option<u64>,
}

impl Run {
    /// Program and arguments, as one types them; an argument that is empty or holds blanks in quotes.
    pub fn command_line(&self) -> String {
        let quoted = |arg: &String| match arg.is_empty() || arg.contains(char::is_whitespace) {
            true => format!("{arg:?}"),
            false => shown(arg.as_bytes()),
        };
        let words = std::iter::once(self.program.clone()).chain(self.args.iter().map(quoted));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What became of a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody answered while the scenario ran.
    Never,
    /// There was no room on the queue, or no queue.
    NotSent,
    /// The client was killed first.
    Killed,
    /// An answer.
    Answer {
        /// The status; `None` when the answer is not in the request's layout.
        status: Option<i64>,
        /// The text.
        text: Vec<u8>,
        /// Milliseconds from the request to it.
        after: u64,
    },
}

/// A client's request and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client.
    pub client: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Outcome {
    /// Reads an answer that came for a request of this layout and mtext header.
    pub fn of(layout: Layout, request: &[u8], mtext: &[u8], after: u64) -> Self {
        let same_header = |message: &Message| {
            let sent = Message::decode_as(layout, request).map_or(0, |sent| sent.pid);
            message.encode() == mtext && message.pid == sent
        };
        match Message::decode_as(layout, mtext) {
            Ok(message) if same_header(&message) => {
                Outcome::Answer { status: Some(message.id), text: message.text.to_vec(), after }
            }
            _ => Outcome::Answer { status: None, text: mtext.to_vec(), after },
        }
    }
}

/// Everything that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Helpers, in order of their start.
    pub runs: Vec<Run>,
    /// Requests that wanted an answer, in order.
    pub asked: Vec<Asked>,
    /// What was left on the queue, with how often.
    pub left: BTreeMap<Left, usize>,
    /// Whether the daemon ended without being told to.
    pub ended: bool,
    /// Milliseconds by which something of ours, or a helper, came late at most: how busy the machine was.
    pub late: u64,
}

/// Coarse time: whole seconds, with most of a second's grace for a busy machine. Scenarios therefore
/// use whole seconds for everything whose time matters.
pub fn when(millis: u64) -> String {
    match (millis + 150) / 1000 {
        0 => "at once".to_owned(),
        seconds => format!("after {seconds} s"),
    }
}

/// Bytes as a person reads them: what is not printable ASCII is escaped.
pub fn shown(bytes: &[u8]) -> String {
    let shown = |byte: &u8| match byte {
        b'\'' | b'"' => char::from(*byte).to_string(),
        other => other.escape_ascii().to_string(),
    };
    bytes.iter().map(shown).collect()
}
