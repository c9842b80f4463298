//! The names of what is compared. A report writes them; `what` in `differences.toml` and in a scenario is read
//! as one.
#![forbid(unsafe_code)]

use crate::left::Left;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const ANSWER: &str = "answer ";
const ONLY_HERE: &str = "ran only here: ";
const LEFT: &str = "left on the queue: ";
const ORDER: &str = "order of helpers";
const OVERLAP: &str = "lasting helpers at once";
const DAEMON: &str = "daemon";

/// What a cell of the comparison shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CellName {
    /// A client's answer: its status, or what came in its place.
    Answer(String),
    /// When a client's answer came.
    AnswerTime(String),
    /// A line of a client's answer, counted from 1.
    AnswerLine(String, usize),
    /// Something about a helper that both sides ran.
    Helper(Helper, About),
    /// A helper that the other side did not run.
    OnlyHere(Helper),
    /// In which order helpers were started.
    Order,
    /// How many helpers ran at the same time.
    Overlap,
    /// What was left on the queue.
    Left(Left),
    /// Whether the daemon still runs.
    Daemon,
}

/// A helper that ran, named by what it is about, which is the same for both daemons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Helper {
    /// `load`, `unload`, or the name of another program than modprobe.
    pub action: String,
    /// Its last argument, abbreviated.
    pub text: String,
    /// 1 for the first of its kind, 2 for the next one.
    pub count: usize,
}

/// What is seen of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Its command line.
    Argv,
    /// Its environment.
    Env,
    /// The process that it was told to have caused it.
    Trigger,
    /// When it was started.
    Time,
}

impl About {
    const ALL: [Self; 4] = [About::Argv, About::Env, About::Trigger, About::Time];

    const fn name(self) -> &'static str {
        match self {
            About::Argv => "argv",
            About::Env => "env",
            About::Trigger => "trigger",
            About::Time => "time",
        }
    }
}

impl CellName {
    /// Whether it says when something was, or in which order, or what overlapped.
    pub(crate) const fn is_about_time(&self) -> bool {
        use CellName::{AnswerTime, Helper, Order, Overlap};
        matches!(self, AnswerTime(_) | Helper(_, About::Time) | Order | Overlap)
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            ORDER => Some(CellName::Order),
            OVERLAP => Some(CellName::Overlap),
            DAEMON => Some(CellName::Daemon),
            _ => None,
        }
        .or_else(|| Self::read_answer(text.strip_prefix(ANSWER)?))
        .or_else(|| text.strip_prefix(ONLY_HERE)?.parse().ok().map(CellName::OnlyHere))
        .or_else(|| text.strip_prefix(LEFT)?.parse().ok().map(CellName::Left))
        .or_else(|| Self::read_helper(text))
    }

    fn read_answer(text: &str) -> Option<Self> {
        let (client, rest) = text.split_once(' ').map_or((text, None), |(client, rest)| (client, Some(rest)));
        let name = is_client_name(client).then(|| client.to_owned())?;
        match rest {
            None => Some(CellName::Answer(name)),
            Some("time") => Some(CellName::AnswerTime(name)),
            Some(line) => Some(CellName::AnswerLine(name, line.strip_prefix("line ")?.parse().ok()?)),
        }
    }

    fn read_helper(text: &str) -> Option<Self> {
        let (helper, about) = text.rsplit_once(' ')?;
        let about = About::ALL.into_iter().find(|known| known.name() == about)?;
        Some(CellName::Helper(helper.parse().ok()?, about))
    }
}

/// Whether a client may be called so: its name is told from what follows it in a cell's name.
pub(crate) fn is_client_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '\'' || c.is_whitespace())
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellName::Answer(client) => write!(f, "{ANSWER}{client}"),
            CellName::AnswerTime(client) => write!(f, "{ANSWER}{client} time"),
            CellName::AnswerLine(client, line) => write!(f, "{ANSWER}{client} line {line}"),
            CellName::Helper(helper, about) => write!(f, "{helper} {}", about.name()),
            CellName::OnlyHere(helper) => write!(f, "{ONLY_HERE}{helper}"),
            CellName::Order => f.write_str(ORDER),
            CellName::Overlap => f.write_str(OVERLAP),
            CellName::Left(left) => write!(f, "{LEFT}{left}"),
            CellName::Daemon => f.write_str(DAEMON),
        }
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.action, self.text)?;
        if self.count > 1 { write!(f, " #{}", self.count) } else { Ok(()) }
    }
}

impl FromStr for CellName {
    type Err = NoCell;

    fn from_str(text: &str) -> Result<Self, NoCell> {
        // A number that is written in another way names no cell.
        let found = Self::read(text).filter(|name| name.to_string() == text);
        found.ok_or_else(|| NoCell(text.to_owned()))
    }
}

impl FromStr for Helper {
    type Err = NoCell;

    fn from_str(text: &str) -> Result<Self, NoCell> {
        let read = || {
            let (action, rest) = text.split_once(" '").filter(|(action, _)| !action.is_empty())?;
            let (text, count) = match rest.strip_suffix('\'') {
                Some(text) => (text, 1),
                None => {
                    rest.rsplit_once("' #").and_then(|(text, count)| Some((text, count.parse().ok()?)))?
                }
            };
            Some(Helper { action: action.to_owned(), text: text.to_owned(), count })
        };
        read().ok_or_else(|| NoCell(text.to_owned()))
    }
}

impl TryFrom<String> for CellName {
    type Error = NoCell;

    fn try_from(text: String) -> Result<Self, NoCell> {
        text.parse()
    }
}

impl Serialize for CellName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that names no cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCell(String);

impl fmt::Display for NoCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} names no cell of a report: these are called \"answer CLIENT\", \"answer CLIENT time\", \
             \"answer CLIENT line N\", \"load 'NAME' argv\" (or unload or a program; or env, trigger, time), \
             \"{ONLY_HERE}load 'NAME'\", \"{LEFT}…\", \"{ORDER}\", \"{OVERLAP}\" and \"{DAEMON}\"",
            self.0
        )
    }
}

impl std::error::Error for NoCell {}

/// What a `*` may stand for, so that a name comes of a pattern.
const STAND_INS: [&str; 7] = ["", "1", "'1'", "1'", "1 '1'", "answer 1", "a message that could not be sent"];

/// The most `*` in a pattern: each is tried with each stand-in.
const STARS: usize = 4;

/// Checks that a pattern, whose `*` stand for any text, fits some cell's name.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), NoCell> {
    let few = pattern.matches('*').count() <= STARS;
    if few && fits_some(pattern) { Ok(()) } else { Err(NoCell(pattern.to_owned())) }
}

fn fits_some(pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.parse::<CellName>().is_ok(),
        Some((before, after)) => {
            STAND_INS.iter().any(|stand_in| fits_some(&format!("{before}{stand_in}{after}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn left() -> impl Strategy<Value = Left> {
        prop_oneof![
            Just(Left::Unsent),
            any::<i64>().prop_map(|mtype| Left::Filling { mtype }),
            ("[a-z0-9-]{1,8}", "[a-z0-9 :-]{0,20}").prop_map(|(client, said)| Left::Answer { client, said }),
            (any::<i64>(), proptest::option::of("[ -~]{0,24}"))
                .prop_map(|(mtype, text)| Left::Message { mtype, text }),
        ]
    }

    fn helper() -> impl Strategy<Value = Helper> {
        let action = prop_oneof!["answer|daemon|load|unload", "[a-z][a-z-]{0,8}"];
        (action, "[ -~…]{0,24}", 1..20usize).prop_map(|(action, text, count)| Helper { action, text, count })
    }

    fn name() -> impl Strategy<Value = CellName> {
        let client = || "[a-z0-9#:-]{1,8}";
        let about = proptest::sample::select(About::ALL.to_vec());
        prop_oneof![
            client().prop_map(CellName::Answer),
            client().prop_map(CellName::AnswerTime),
            (client(), any::<usize>()).prop_map(|(client, line)| CellName::AnswerLine(client, line)),
            (helper(), about).prop_map(|(helper, about)| CellName::Helper(helper, about)),
            helper().prop_map(CellName::OnlyHere),
            left().prop_map(CellName::Left),
            proptest::sample::select(vec![CellName::Order, CellName::Overlap, CellName::Daemon]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in name()) {
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn what_is_read_is_written_back(text in "(answer |load |left on the queue: a message )?[ -~]{0,20}( time)?") {
            if let Ok(name) = text.parse::<CellName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn a_pattern_fits_some_name_or_is_told() {
        for pattern in [
            "answer *",
            "answer * line *",
            "answer w* time",
            "* env",
            "load * argv",
            "load 'w* time",
            "ran only here: sh '*",
            "ran only here: load *",
            "left on the queue: *",
            "load 'ppp'* argv",
        ] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
        for pattern in
            ["answr a", "answer a tme", "load ppp argv", "* environment", "left on the queue", "a*b*c*d*e*"]
        {
            let told = check_pattern(pattern).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{pattern:?} names no cell")), "{told}");
        }
    }
}
