//! The text that answers kdstat (`kdstat.8`, `kerneld.c` of modutils 2.4): written by the daemon, taken
//! apart by kdstat. Pure.
//!
//! `flushed N entries` after the word `flush`; then the state; then `no jobs waiting`, or `job queue:` and
//! a line for each job, newest first. Our daemon says `and N more` of jobs that found no room.
#![forbid(unsafe_code)]

use crate::queue::CAPACITY;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// The most bytes that the text may take, whatever header comes before it.
const MAX_TEXT: usize = CAPACITY - 64;

const NO_JOBS: &str = "no jobs waiting";
const JOBS: &str = "job queue:";

/// The daemon's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State<'a> {
    /// The daemon's version.
    pub version: Cow<'a, str>,
    /// Its pid.
    pub pid: u32,
    /// Seconds before a delayed release and between sweeps; 0 or less for no sweeps.
    pub delay: i64,
    /// Whether releases and sweeps are ignored.
    pub keep: bool,
    /// Whether each step is logged.
    pub debug: bool,
    /// How many messages `flush` dropped; none without that word.
    pub flushed: Option<u64>,
    /// Newest first.
    pub jobs: Vec<Job<'a>>,
    /// How many jobs are left out, for want of room.
    pub more: u64,
}

/// A line of the list of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job<'a> {
    /// The helper's pid; none before it runs.
    pub pid: Option<u32>,
    /// What was asked: the name of a [`Command`](crate::request::Command).
    pub command: Cow<'a, str>,
    /// The request's text.
    pub text: Cow<'a, str>,
    /// The pid that the request carries (low 16 bits, signed); none in the old protocol.
    pub sender: Option<i16>,
}

/// A line that kerneld never wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood(String);

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot understand kerneld's answer: {:?}", self.0)
    }
}

impl std::error::Error for NotUnderstood {}

/// The text. Jobs that find no room are counted in its last line.
impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.head();
        let mut more = self.more;
        for job in &self.jobs {
            let line = job.to_string();
            if text.len() + line.len() < MAX_TEXT {
                text.push_str(&line);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            writeln!(text, "and {more} more")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sender = self.sender.map(|pid| format!(" from pid {pid}")).unwrap_or_default();
        writeln!(f, "pid {}, type {} ('{}'){sender}", self.pid.unwrap_or(0), self.command, self.text)
    }
}

impl<'a> State<'a> {
    fn head(&self) -> String {
        let State { version, pid, delay, .. } = self;
        let no = |set| if set { "" } else { "no" };
        let flushed = self.flushed.map(|count| format!("flushed {count} entries\n")).unwrap_or_default();
        let (keep, debug) = (no(self.keep), no(self.debug));
        let list = if self.jobs.is_empty() && self.more == 0 { NO_JOBS } else { JOBS };
        format!("{flushed}Version {version}, pid={pid}, delay={delay}, {keep}keep, {debug}debug\n{list}\n")
    }

    /// Takes an answer's text apart, ours or that of an old kerneld.
    ///
    /// # Errors
    /// The first line that kerneld never wrote.
    pub fn parse(text: &'a str) -> Result<Self, NotUnderstood> {
        let mut lines = text.lines().peekable();
        let flushed = lines.peek().and_then(|line| flushed(line));
        if flushed.is_some() {
            lines.next();
        }
        let line = lines.next().unwrap_or_default();
        let mut state = Self::parse_state(line).ok_or_else(|| NotUnderstood(line.to_owned()))?;
        state.flushed = flushed;
        for line in lines.filter(|line| !matches!(*line, NO_JOBS | JOBS)) {
            match (Job::parse(line), more(line)) {
                (Some(job), _) => state.jobs.push(job),
                (None, Some(count)) => state.more = count,
                (None, None) => return Err(NotUnderstood(line.to_owned())),
            }
        }
        Ok(state)
    }

    fn parse_state(line: &'a str) -> Option<Self> {
        let mut parts = line.split(", ");
        Some(State {
            version: parts.next()?.strip_prefix("Version ")?.into(),
            pid: parts.next()?.strip_prefix("pid=")?.parse().ok()?,
            delay: parts.next()?.strip_prefix("delay=")?.parse().ok()?,
            keep: parts.next()? == "keep",
            debug: parts.next()? == "debug",
            flushed: None,
            jobs: Vec::new(),
            more: 0,
        })
    }
}

fn flushed(line: &str) -> Option<u64> {
    line.strip_prefix("flushed ")?.strip_suffix(" entries")?.parse().ok()
}

fn more(line: &str) -> Option<u64> {
    line.strip_prefix("and ")?.strip_suffix(" more")?.parse().ok()
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
        let pid = Some(pid.parse().ok()?).filter(|pid| *pid != 0);
        Some(Job { pid, command: command.into(), text: text.into(), sender })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(pid: Option<u32>, text: &str, sender: Option<i16>) -> Job<'_> {
        Job { pid, command: "request_module".into(), text: text.into(), sender }
    }

    fn state(jobs: Vec<Job<'_>>) -> State<'_> {
        let (version, flushed) = ("2.4.27".into(), Some(3));
        State { version, pid: 12, delay: 60, keep: false, debug: true, flushed, jobs, more: 0 }
    }

    #[test]
    fn the_text_is_that_of_old() {
        let text = "flushed 3 entries\nVersion 2.4.27, pid=12, delay=60, nokeep, debug\njob queue:\n\
                    pid 0, type request_module ('it's ('x')') from pid -2\n\
                    pid 7, type request_module ('ppp')\n";
        let state = state(vec![job(None, "it's ('x')", Some(-2)), job(Some(7), "ppp", None)]);
        assert_eq!((state.to_string().as_str(), State::parse(text)), (text, Ok(state.clone())));
    }

    #[test]
    fn jobs_without_room_are_counted_on_both_sides() {
        let long = "x".repeat(100);
        let text = state(vec![job(Some(7), &long, None); 100]).to_string();
        let read = State::parse(&text).unwrap();
        assert!(text.len() < CAPACITY && read.more > 0 && read.jobs.len() as u64 + read.more == 100);
        assert_eq!(read.to_string(), text);
    }

    #[test]
    fn what_kerneld_never_wrote_is_told() {
        for text in ["", "Version 1", "Version 1, pid=2, delay=3, keep, debug\npid x"] {
            assert!(State::parse(text).unwrap_err().to_string().contains("cannot understand"));
        }
    }
}
