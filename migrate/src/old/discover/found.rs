//! What was found in an old system: starts of kerneld, modules loaded by name, crontabs that clean up.

use kerneld_protocol::number::seconds;

use crate::account::LineId;

/// Seconds between autocleans unless kerneld is told otherwise (kerneld.c).
pub const DELAY: u32 = 60;

/// How kerneld was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The line that starts it.
    pub line: LineId,
    /// Seconds between autocleans, when `delay=` said so; 0: none.
    pub delay: Option<u32>,
    /// `keep`: never clean up.
    pub keep: bool,
    /// Words that kerneld ignored, and `debug` and `type=N`.
    pub others: Vec<String>,
}

impl Start {
    /// Reads kerneld's words; numbers as C's atoi reads them.
    pub fn read<'a>(line: LineId, words: impl IntoIterator<Item = &'a str>) -> Start {
        let mut start = Start { line, delay: None, keep: false, others: Vec::new() };
        for word in words {
            if word == "keep" {
                start.keep = true;
            } else if let Some(number) = word.strip_prefix("delay=") {
                start.delay = Some(seconds(number));
            } else {
                start.others.push(word.to_owned());
            }
        }
        start
    }

    /// Seconds between autocleans; `None`: nothing is cleaned (`keep` beats `delay`).
    pub fn autoclean(&self) -> Option<u32> {
        let delay = self.delay.unwrap_or(DELAY);
        (!self.keep && delay > 0).then_some(delay)
    }
}

/// A module that is loaded at boot by name.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The line that loads it.
    pub line: LineId,
    /// The name asked for.
    pub name: String,
    /// `KEY=VALUE` words.
    pub options: Vec<String>,
}

/// A crontab line that cleans up.
#[derive(Clone, Debug)]
pub struct Cleaning {
    /// The line.
    pub line: LineId,
    /// Its five time fields, or a word like `@hourly`.
    pub schedule: String,
}

/// Everything found.
#[derive(Debug, Default)]
pub struct Found {
    /// Lines that start kerneld.
    pub starts: Vec<Start>,
    /// A line that forbids kerneld.
    pub forbids: Option<LineId>,
    /// Modules loaded by name.
    pub loaded: Vec<Loaded>,
    /// Lines of crontabs that clean up.
    pub cleaning: Vec<Cleaning>,
    /// `/sbin/request-route` is there.
    pub route: bool,
    /// `/sbin/screenblanker` is there.
    pub blanker: bool,
    /// A `persist.gdbm`, as a path below the root.
    pub persist: Option<String>,
    /// Scripts that could not be read, and why.
    pub notes: Vec<String>,
}

impl Found {
    /// The start in force: the one with words of its own, else the first; none when kerneld is forbidden.
    pub fn start(&self) -> Option<&Start> {
        if self.forbids.is_some() {
            return None;
        }
        let told = |start: &&Start| start.keep || start.delay.is_some();
        self.starts.iter().find(told).or(self.starts.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_kerneld_read_them() {
        let start = Start::read(0, ["delay=30", "keep", "debug", "nonsense"]);
        assert_eq!((start.delay, start.keep, start.autoclean()), (Some(30), true, None));
        assert_eq!(Start::read(0, ["delay=120x"]).autoclean(), Some(120));
        assert_eq!(Start::read(0, ["delay=0"]).autoclean(), None);
        assert_eq!(Start::read(0, ["delay=+90"]).autoclean(), Some(90));
        assert_eq!(Start::read(0, []).autoclean(), Some(60));
    }
}
