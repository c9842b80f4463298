//! kdstat's words, what they switch, and the text that answers them (modutils 2.4 `kdstat.8`, `kerneld.c`).
#![forbid(unsafe_code)]

use super::delays::{Delayed, Delays};
use super::jobs::{Job, Jobs};
use kerneld_protocol::kdstat;
use kerneld_protocol::number::{atoi, seconds};
use kerneld_protocol::request::Command;
use log::{LevelFilter, debug};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What kdstat's words set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switches {
    /// Seconds before a delayed release and between sweeps; 0 at start means no timer.
    pub(crate) delay: u32,
    /// Whether releases and autoclean are ignored.
    pub(crate) keep: bool,
    /// Whether each step is logged.
    pub(crate) debug: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches { delay: 60, keep: false, debug: false }
    }
}

impl Switches {
    /// What kerneld's own words of the command line ask for, and `type=N` if given. Unknown words
    /// were ignored, and are.
    pub(crate) fn from_words(words: &[String]) -> (Self, Option<i64>) {
        let mut switches = Switches::default();
        let mut only_type = None;
        for word in words {
            match word.split_once('=') {
                Some(("delay", text)) => switches.delay = seconds(text),
                Some(("type", number)) => only_type = Some(atoi(number)),
                _ => {
                    switches.set(word);
                }
            }
        }
        (switches, only_type)
    }

    /// The words that [`Switches::from_words`] understands.
    pub(crate) const WORDS: &str = "debug, nodebug, keep, nokeep, delay=SECONDS and type=N";

    /// Whether a word of the command line means something, with a number where one belongs.
    pub(crate) fn knows(word: &str) -> bool {
        match word.split_once('=') {
            Some(("delay" | "type", number)) => {
                number.trim().starts_with(|c: char| c.is_ascii_digit() || c == '-')
            }
            Some(_) => false,
            None => Switches::default().set(word),
        }
    }

    /// Acts on a kdstat word; false if it is none of these. `delay=0` changes nothing, as in kerneld.
    pub(crate) fn set(&mut self, word: &str) -> bool {
        match word {
            "debug" => self.debug = true,
            "nodebug" => self.debug = false,
            "keep" => self.keep = true,
            "nokeep" => self.keep = false,
            _ => return self.set_delay(word),
        }
        true
    }

    /// The time between two sweeps of idle modules; `None` for no sweeps.
    pub(crate) fn sweep_interval(&self) -> Option<Duration> {
        (self.delay > 0 && !self.keep).then(|| self.release_delay())
    }

    /// The time that a delayed release waits.
    pub(crate) fn release_delay(&self) -> Duration {
        Duration::from_secs(self.delay.into())
    }

    /// `debug` logs each step; otherwise what an admin should know.
    fn set_log_level(&self) {
        log::set_max_level(if self.debug { LevelFilter::Debug } else { LevelFilter::Info });
    }

    fn set_delay(&mut self, word: &str) -> bool {
        let seconds = word.strip_prefix("delay=").map(seconds).filter(|seconds| *seconds > 0);
        self.delay = seconds.unwrap_or(self.delay);
        seconds.is_some()
    }
}

/// Keeps the switches, and acts on kdstat's words.
#[derive(Debug)]
pub(crate) struct StatusDesk(Mutex<Switches>);

impl StatusDesk {
    /// Begins with these switches, which also say what is logged from now on.
    pub(crate) fn new(switches: Switches) -> Self {
        switches.set_log_level();
        StatusDesk(Mutex::new(switches))
    }

    /// The switches as they are now.
    pub(crate) fn switches(&self) -> Switches {
        *self.lock()
    }

    /// Acts on kdstat's words; how often they ask to flush the queue, which is not done here.
    pub(crate) fn act_on(&self, words: &str) -> usize {
        let (mut switches, mut flushes) = (self.lock(), 0);
        for word in words.split_whitespace() {
            if word == "flush" {
                flushes += 1;
            } else if !switches.set(word) {
                debug!("ignored {word:?}, which is not one of kdstat's words");
            }
        }
        switches.set_log_level();
        flushes
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to kdstat: jobs newest first; after those that have begun, the releases that wait for their time.
pub(crate) fn render(switches: &Switches, flushed: Option<usize>, jobs: &Jobs, delays: &Delays) -> String {
    let begun = jobs.newest_first().map(job_line);
    let Switches { delay, keep, debug } = *switches;
    let state = kdstat::State {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        delay: delay.into(),
        keep,
        debug,
        flushed: flushed.map(|count| count as u64),
        jobs: begun.chain(delays.latest_first().map(delayed_line)).collect(),
        more: 0,
    };
    state.to_string()
}

/// A job that waits for a free place has no pid yet.
fn job_line(job: &Job) -> kdstat::Job<'_> {
    let (command, text) = (job.task.command().to_string().into(), job.task.text().into());
    kdstat::Job { pid: job.pid, command, text, sender: job.trigger() }
}

/// A delayed release has no process, so no pid.
fn delayed_line(delayed: &Delayed) -> kdstat::Job<'_> {
    let command = Command::DelayedReleaseModule.to_string().into();
    let (text, sender) = (delayed.name.as_str().into(), delayed.waiter.reply.sender_pid());
    kdstat::Job { pid: None, command, text, sender }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_switch_and_ask_to_flush() {
        let desk = StatusDesk::new(Switches::default());
        assert_eq!(desk.act_on("keep flush delay=5 nonsense flush"), 2);
        assert_eq!(desk.switches(), Switches { delay: 5, keep: true, debug: false });
        assert_eq!(desk.switches().sweep_interval(), None);
        desk.act_on("nokeep");
        assert_eq!(desk.switches().sweep_interval(), Some(Duration::from_secs(5)));
    }

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
}
