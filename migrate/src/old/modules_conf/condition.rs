//! The conditions of `if` and `elseif`, with modutils' quirks, for a stated kernel and state.

use std::collections::BTreeMap;

use kerneld_protocol::number::atoi;

use super::words::{Environment, Word, split};
use crate::account::{Kind, Question};
use crate::error::{self, Error};
use crate::root::Root;

/// What `--assume` states about the running system, which a tree of files does not show.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whether modprobe is called by the kernel (`-k`).
    pub called_by_kernel: Option<bool>,
    /// Files that are, or are not, there (`-f FILE`).
    pub files: BTreeMap<String, bool>,
}

impl State {
    /// Reads one `--assume` value: `called-by-kernel`, `called-by-hand`, `file:PATH` or `no-file:PATH`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn assume(&mut self, fact: &str) -> error::Result<()> {
        match fact.split_once(':') {
            Some(("file", path)) => drop(self.files.insert(path.to_owned(), true)),
            Some(("no-file", path)) => drop(self.files.insert(path.to_owned(), false)),
            _ if fact == "called-by-kernel" => self.called_by_kernel = Some(true),
            _ if fact == "called-by-hand" => self.called_by_kernel = Some(false),
            _ => {
                return Err(Error::usage(format!(
                    "--assume: `{fact}` is not called-by-kernel, called-by-hand, file:PATH or no-file:PATH"
                )));
            }
        }
        Ok(())
    }
}

/// Folders whose content is made while the system runs: a disk image does not show it.
const VOLATILE: [&str; 6] = ["/proc/", "/sys/", "/dev/", "/tmp/", "/var/run/", "/var/lock/"];

/// A decided condition and what it was decided from.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// The value.
    pub holds: bool,
    /// What it rests on, for the account.
    pub because: String,
}

/// Evaluates a condition.
///
/// # Errors
/// Why the files and what was stated do not decide it.
pub(super) fn evaluate(
    text: &str,
    root: &Root,
    environment: &Environment,
    state: &State,
) -> Result<Decision, Question> {
    let (negated, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let mut decision = positive(text, root, environment, state)?;
    // modutils ignores the `!` of `! -k`
    if negated && text.split_whitespace().next() != Some("-k") {
        decision.holds = !decision.holds;
    }
    Ok(decision)
}

fn positive(text: &str, root: &Root, environment: &Environment, state: &State) -> Result<Decision, Question> {
    match text.split_whitespace().next() {
        Some("-k") => called_by_kernel(state),
        Some("-f") => file(text, root, environment, state),
        Some("-n") => compare(&text[2..], environment, true),
        Some(_) => compare(text, environment, false),
        None => Err(undecided("the condition is missing")),
    }
}

const CALLER: &str = "`-k` asks whether the kernel itself called modprobe: state it with --assume \
     called-by-kernel or --assume called-by-hand";

fn undecided(why: impl Into<String>) -> Question {
    Question::new(Kind::Condition, why)
}

fn called_by_kernel(state: &State) -> Result<Decision, Question> {
    let holds = state.called_by_kernel.ok_or_else(|| undecided(CALLER))?;
    Ok(Decision {
        holds,
        because: format!("modprobe {}called by the kernel", if holds { "" } else { "not " }),
    })
}

fn file(text: &str, root: &Root, environment: &Environment, state: &State) -> Result<Decision, Question> {
    let words = known_words(&text[2..], environment)?;
    let [path] = &words[..] else { return Err(undecided("`-f` needs one file name")) };
    let stated = state.files.get(path).copied();
    if stated.is_none() && VOLATILE.iter().any(|folder| path.starts_with(folder)) {
        return Err(undecided(format!(
            "{path} exists only while the system runs: state it with --assume file:{path} or no-file:{path}"
        )));
    }
    let holds = stated.unwrap_or_else(|| root.exists(path));
    Ok(Decision { holds, because: format!("{path} {}", if holds { "is there" } else { "is not there" }) })
}

fn compare(text: &str, environment: &Environment, numeric: bool) -> Result<Decision, Question> {
    let words = split(text, 0, environment);
    if let [left, operator, right] = &words[..] {
        // `<` and `>` are operators here, not the shell's
        let (left, right) = (known(left)?, known(right)?);
        let operator = operator.text.as_str();
        let holds = if numeric {
            holds(operator, atoi(left).cmp(&atoi(right)))
        } else {
            holds(operator, left.cmp(right))
        };
        let holds =
            holds.ok_or_else(|| undecided(format!("`{operator}` is not one of == = != < <= > >=")))?;
        return Ok(Decision { holds, because: format!("{left} {operator} {right} is {holds}") });
    }
    if numeric {
        return Err(undecided("`-n` needs two numbers and an operator"));
    }
    let words = known_words(text, environment)?;
    let [word] = &words[..] else { return Err(undecided("a condition is one word, or WORD OPERATOR WORD")) };
    let holds = !matches!(word.as_str(), "" | "0" | "false");
    Ok(Decision { holds, because: format!("`{word}` counts as {holds}") })
}

fn holds(operator: &str, ordering: std::cmp::Ordering) -> Option<bool> {
    Some(match operator {
        "==" | "=" => ordering.is_eq(),
        "!=" => ordering.is_ne(),
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        ">" => ordering.is_gt(),
        ">=" => ordering.is_ge(),
        _ => return None,
    })
}

fn known(word: &Word) -> Result<&str, Question> {
    word.unknown.clone().map_or(Ok(word.text.as_str()), |why| Err(undecided(why)))
}

fn known_words(text: &str, environment: &Environment) -> Result<Vec<String>, Question> {
    split(text, 0, environment)
        .into_iter()
        .map(|word| word.unknown.map_or(Ok(word.text), |why| Err(undecided(why))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, environment: &Environment, state: &State) -> Result<bool, Question> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("there"), "").unwrap();
        let root = Root::open(directory.path()).unwrap();
        evaluate(condition, &root, environment, state).map(|decision| decision.holds)
    }

    #[test]
    fn every_form_is_evaluated() {
        let environment = Environment { kernel: Some("2.4.20".into()), ..Environment::default() };
        let state = State::default();
        for (condition, holds) in [
            ("a == a", true),
            ("a != a", false),
            ("2.10 < 2.9", true),
            ("-n 10 < 9", false),
            ("-n 10 >= 10", true),
            ("-n +10 == 10", true),
            ("-n 99999999999999999999 > 1", true),
            ("`uname -r` == 2.4.20", true),
            ("$(kernelversion) > 2.2", true),
            ("yes", true),
            ("0", false),
            ("false", false),
            ("\"\"", false),
            ("! 0", true),
            ("!-f /there", false),
            ("-f /there", true),
            ("-f /not-there", false),
        ] {
            assert_eq!(check(condition, &environment, &state), Ok(holds), "{condition}");
        }
    }

    #[test]
    fn what_is_not_stated_is_not_guessed() {
        let (environment, mut state) = (Environment::default(), State::default());
        for condition in ["-k", "-f /proc/bus/pci", "`uname -r` == 2", "`hostname` == x", "-n 1", "a ~ b"] {
            assert!(check(condition, &environment, &state).is_err(), "{condition}");
        }
        state.assume("file:/proc/bus/pci").unwrap();
        state.assume("called-by-hand").unwrap();
        assert_eq!(check("-f /proc/bus/pci", &environment, &state), Ok(true));
        // the quirk: `! -k` means `-k`
        assert_eq!(check("! -k", &environment, &state), Ok(false));
        assert!(state.assume("weather").is_err());
    }
}
