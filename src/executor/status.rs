//! kdstat's words and the text that answers them (modutils 2.4 `kdstat.8`, `kerneld.c`). Pure.
#![forbid(unsafe_code)]

use crate::executor::delays::{Delayed, Delays};
use crate::executor::jobs::{Job, Jobs};
use kerneld_protocol::queue::CAPACITY;
use kerneld_protocol::request::Command;
use std::fmt::Write;

/// What kdstat's words set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Seconds before a delayed release and between sweeps; 0 at start means no timer.
    pub delay: u32,
    /// Whether releases and autoclean are ignored.
    pub keep: bool,
    /// Whether each step is logged.
    pub debug: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches { delay: 60, keep: false, debug: false }
    }
}

impl Switches {
    /// What kerneld's own words of the command line ask for, and `type=N` if given. Unknown words
    /// were ignored, and are.
    pub fn from_words(words: &[String]) -> (Self, Option<i64>) {
        let mut switches = Switches::default();
        let mut only_type = None;
        for word in words {
            match word.split_once('=') {
                Some(("delay", seconds)) => switches.delay = atoi(seconds).try_into().unwrap_or(0),
                Some(("type", number)) => only_type = Some(atoi(number)),
                _ => {
                    switches.set(word);
                }
            }
        }
        (switches, only_type)
    }

    /// Acts on a kdstat word; false if it is none of these. `delay=0` changes nothing, as in kerneld.
    pub fn set(&mut self, word: &str) -> bool {
        match word {
            "debug" => self.debug = true,
            "nodebug" => self.debug = false,
            "keep" => self.keep = true,
            "nokeep" => self.keep = false,
            _ => return self.set_delay(word),
        }
        true
    }

    fn set_delay(&mut self, word: &str) -> bool {
        let seconds = word.strip_prefix("delay=").map(atoi);
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        self.delay = seconds.unwrap_or(self.delay);
        seconds.is_some()
    }
}

/// The most that an answer's text may hold, whatever its header.
const MAX_TEXT: usize = CAPACITY - 64;

/// The answer to kdstat: state first, then a line a job, newest first; after those that have begun,
/// the releases that wait for their time. A list too long for a message is cut, and says so.
pub fn render(switches: &Switches, flushed: Option<usize>, jobs: &Jobs, delays: &Delays) -> String {
    let mut text = flushed.map(|count| format!("flushed {count} entries\n")).unwrap_or_default();
    let no = |set| if set { "" } else { "no" };
    let Switches { delay, keep, debug } = *switches;
    let version = env!("CARGO_PKG_VERSION");
    let pid = std::process::id();
    let _ =
        writeln!(text, "Version {version}, pid={pid}, delay={delay}, {}keep, {}debug", no(keep), no(debug));
    let mut lines = jobs.newest_first().map(job_line).chain(delays.latest_first().map(delayed_line));
    let first = lines.next();
    text.push_str(if first.is_some() { "job queue:\n" } else { "no jobs waiting\n" });
    let mut left_out = 0;
    for line in first.into_iter().chain(lines) {
        if text.len() + line.len() < MAX_TEXT {
            text.push_str(&line);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} more");
    }
    text
}

/// A job that waits for a free place has no pid yet: 0.
fn job_line(job: &Job) -> String {
    line(job.pid.unwrap_or(0), job.task.command(), &job.task.text(), job.trigger())
}

/// A delayed release has no process, so no pid: 0.
fn delayed_line(delayed: &Delayed) -> String {
    line(0, Command::DelayedReleaseModule, delayed.name.as_str(), delayed.waiter.reply.sender_pid())
}

fn line(pid: u32, command: Command, text: &str, sender: Option<i16>) -> String {
    let sender = sender.map(|pid| format!(" from pid {pid}")).unwrap_or_default();
    format!("pid {pid}, type {command} ('{text}'){sender}\n")
}

/// A number as C's atoi reads it: blanks, a sign, digits, the rest ignored; 0 if there are none.
pub fn atoi(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    sign * digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line() {
        let words = ["keep", "delay=10x", "type=300", "nonsense"].map(str::to_owned);
        let (switches, only_type) = Switches::from_words(&words);
        assert_eq!(switches, Switches { delay: 10, keep: true, debug: false });
        assert_eq!(only_type, Some(300));
        assert_eq!(Switches::from_words(&["delay=0".to_owned()]).0.delay, 0);
    }

    #[test]
    fn a_delay_of_zero_or_less_is_ignored_at_run_time() {
        let mut switches = Switches::default();
        assert!(!switches.set("delay=0") && !switches.set("delay=-3") && !switches.set("nonsense"));
        assert_eq!(switches, Switches::default());
        assert!(switches.set("delay=2"));
        assert_eq!(switches.delay, 2);
    }

    #[test]
    fn numbers_as_atoi_reads_them() {
        assert_eq!(["7", " -3x", "", "x", "+5"].map(atoi), [7, -3, 0, 0, 5]);
    }
}
