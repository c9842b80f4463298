//! What a line of the journal says. Pure, except for asking who and where we are.
#![forbid(unsafe_code)]

use data_encoding::HEXLOWER_PERMISSIVE;
use kerneld_protocol::request::{Command, ReplyTo};
use kerneld_protocol::sender::Sender;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in microseconds since 1970-01-01 00:00 UTC (`CLOCK_REALTIME`).
    pub at: u64,
    /// Whether this repeats a record of a file rotated away, because it still matters. `at` is then
    /// the time of the original.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried: bool,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// A record of something that happens now.
    pub fn now(event: Event) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Record { at: since.as_micros().try_into().unwrap_or(u64::MAX), carried: false, event }
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A daemon began to serve.
    Started(Started),
    /// A request was taken from the queue.
    Accepted(Accepted),
    /// A helper was started.
    Began(Began),
    /// A helper ended.
    Ended(Ended),
    /// A request was finished: answered, if an answer was wanted.
    Answered(Answered),
}

/// A daemon began to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The daemon's version.
    pub version: String,
    /// The daemon's pid.
    pub pid: u32,
    /// The queue's id.
    pub queue: i32,
    /// The queue's key.
    pub key: i32,
    /// `/proc/sys/kernel/random/boot_id`: the same until the machine is started again. Empty where
    /// that file cannot be read.
    pub boot_id: String,
}

impl Started {
    /// This process, as the daemon `version` on queue `queue` of key `key`, in this boot.
    pub fn now(version: &str, queue: i32, key: i32) -> Self {
        Started {
            version: version.to_owned(),
            pid: std::process::id(),
            queue,
            key,
            boot_id: boot_id(Path::new("/")).unwrap_or_default(),
        }
    }
}

/// What tells this boot from every other: `proc/sys/kernel/random/boot_id` below `root`.
///
/// # Errors
/// When that file cannot be read; the message names it.
pub fn boot_id(root: &Path) -> io::Result<String> {
    let path = root.join("proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))?;
    Ok(id.trim().to_owned())
}

/// A request was taken from the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The request's number, from 1; grows for as long as the journal is kept, restarts included.
    pub request: u64,
    /// The command's number on the wire.
    pub command: i64,
    /// The request's text.
    pub text: Text,
    /// Where the answer goes.
    pub reply: ReplyTo,
    /// Who sent it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
}

impl Accepted {
    /// The command of that number.
    pub fn command(&self) -> Command {
        Command::from_number(self.command)
    }
}

/// A helper was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The first request that it is for, which names the job.
    pub job: u64,
    /// The helper's argv, the program first.
    pub argv: Vec<Text>,
    /// What `KERNELD_TRIGGER` is in its environment, if at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<i16>,
    /// The helper's pid.
    pub pid: u32,
}

/// A helper ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The job it ran for.
    pub job: u64,
    /// Its status as an answer carries it: exit code or negative errno.
    pub status: i32,
    /// How long it ran, in microseconds.
    pub micros: u64,
}

/// A request was done with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The request's number.
    pub request: u64,
    /// The answer's status: exit code or negative errno.
    pub status: i32,
    /// Bytes of text in the answer.
    pub length: u64,
    /// The job whose helper did it; none when no helper was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
}

/// Bytes that are text nearly always: in JSON a string where they are UTF-8, else `{"hex": "ff00"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(pub Vec<u8>);

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Text(bytes.to_vec())
    }
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Self {
        text.as_bytes().into()
    }
}

/// For people: what is not printable ASCII is escaped, so that it cannot act on a terminal.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.escape_ascii().to_string())
    }
}

/// A [`Text`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Plain(Cow<'a, str>),
    Hex { hex: String },
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match std::str::from_utf8(&self.0) {
            Ok(plain) => Written::Plain(plain.into()),
            Err(_) => Written::Hex { hex: HEXLOWER_PERMISSIVE.encode(&self.0) },
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Written::deserialize(deserializer)? {
            Written::Plain(plain) => plain.into_owned().into_bytes(),
            Written::Hex { hex } => HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(D::Error::custom)?,
        };
        Ok(Text(bytes))
    }
}
