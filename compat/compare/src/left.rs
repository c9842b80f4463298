//! What is left on the queue when a scenario is over.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

const UNSENT: &str = "a message that could not be sent";

/// Something that nobody took from the queue, or that never came there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// A message for which there was no room.
    Unsent,
    /// Messages that filled the queue.
    Filling {
        /// Their type.
        mtype: i64,
    },
    /// An answer that its client did not fetch.
    Answer {
        /// The client.
        client: String,
        /// `status N`, or what is wrong with it.
        said: String,
    },
    /// A message that no daemon read.
    Message {
        /// Its type.
        mtype: i64,
        /// Its text, if that is short.
        text: Option<String>,
    },
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Left::Unsent => f.write_str(UNSENT),
            Left::Filling { mtype } => write!(f, "messages of type {mtype} that fill it"),
            Left::Answer { client, said } => write!(f, "the answer to {client}: {said}"),
            Left::Message { mtype, text: None } => write!(f, "a message of type {mtype}"),
            Left::Message { mtype, text: Some(text) } => write!(f, "a message of type {mtype}: '{text}'"),
        }
    }
}

/// A text that says nothing that can be left on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingLeft;

impl fmt::Display for NothingLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing that can be left on a queue is called so")
    }
}

impl std::error::Error for NothingLeft {}

impl FromStr for Left {
    type Err = NothingLeft;

    fn from_str(text: &str) -> Result<Self, NothingLeft> {
        (text == UNSENT)
            .then_some(Left::Unsent)
            .or_else(|| filling(text.strip_prefix("messages of type ")?))
            .or_else(|| answer(text.strip_prefix("the answer to ")?))
            .or_else(|| message(text.strip_prefix("a message of type ")?))
            .ok_or(NothingLeft)
    }
}

fn filling(text: &str) -> Option<Left> {
    Some(Left::Filling { mtype: text.strip_suffix(" that fill it")?.parse().ok()? })
}

fn answer(text: &str) -> Option<Left> {
    let (client, said) = text.split_once(": ")?;
    Some(Left::Answer { client: client.to_owned(), said: said.to_owned() })
}

fn message(text: &str) -> Option<Left> {
    let Some((mtype, quoted)) = text.split_once(": ") else {
        return Some(Left::Message { mtype: text.parse().ok()?, text: None });
    };
    let text = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(Left::Message { mtype: mtype.parse().ok()?, text: Some(text.to_owned()) })
}
