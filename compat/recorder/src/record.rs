//! What the recorder writes down: a line of JSON when a helper begins, and one when it ends by itself.

use crate::place::{NAME, SCRIPT};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file beside the recorder that its records are appended to.
const RECORD: &str = "record";

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A helper began.
    Began(Record),
    /// A helper ended by itself.
    Ended {
        /// Its pid.
        pid: u32,
        /// When, as [`now_ns`] counts.
        ns: u64,
    },
}

/// How a helper was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its pid.
    pub pid: u32,
    /// When it began, as [`now_ns`] counts.
    pub ns: u64,
    /// All arguments, `argv[0]` first.
    pub argv: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Open descriptors and what they lead to.
    pub fds: BTreeMap<u32, PathBuf>,
    /// Signals blocked and ignored, as /proc/self/status has them.
    pub signals: Vec<String>,
}

impl Record {
    /// This process.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        Ok(Record {
            pid: std::process::id(),
            ns: now_ns(),
            argv: argv(std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()),
            env: std::env::vars_os()
                .map(|(name, value)| {
                    (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
                })
                .collect(),
            cwd: std::env::current_dir()?,
            fds: descriptors()?,
            signals: signals()?,
        })
    }

    /// The file name of the program that was called.
    pub fn program(&self) -> &str {
        let called = self.argv.first().map_or("", String::as_str);
        Path::new(called).file_name().and_then(|name| name.to_str()).unwrap_or(NAME)
    }
}

/// The words as the helper's caller gave them: an interpreter has two before its script.
fn argv(words: Vec<String>) -> Vec<String> {
    let script = words.get(1).is_some_and(|word| word == SCRIPT);
    words.into_iter().skip(if script { 2 } else { 0 }).collect()
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| Duration::from(now).as_nanos() as u64)
}

/// Everything recorded in `dir` so far, in order; a line that is still being written is left out.
///
/// # Errors
/// When a line is not a record.
pub fn events(dir: &Path) -> io::Result<Vec<Event>> {
    let text = fs::read_to_string(dir.join(RECORD)).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

/// The helpers that were run in `dir` so far, in order.
///
/// # Errors
/// As [`events`].
pub fn runs(dir: &Path) -> io::Result<Vec<Record>> {
    let began = |event| match event {
        Event::Began(record) => Some(record),
        Event::Ended { .. } => None,
    };
    Ok(events(dir)?.into_iter().filter_map(began).collect())
}

/// One write to a file opened for appending: lines of several helpers stay whole.
pub(crate) fn note(dir: &Path, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    File::options().append(true).create(true).open(dir.join(RECORD))?.write_all(&line)
}

/// Without the one that lists them, which is gone by the time it is looked at.
fn descriptors() -> io::Result<BTreeMap<u32, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse();
        if let (Ok(number), Ok(target)) = (number, fs::read_link(entry.path())) {
            found.insert(number, target);
        }
    }
    found.retain(|_, target| !target.starts_with("/proc"));
    Ok(found)
}

fn signals() -> io::Result<Vec<String>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let wanted = |line: &&str| line.starts_with("SigBlk") || line.starts_with("SigIgn");
    Ok(status.lines().filter(wanted).map(str::to_owned).collect())
}
