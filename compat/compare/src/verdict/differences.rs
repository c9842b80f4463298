//! `differences.toml`: each intended difference between old and new, with its reason.
#![forbid(unsafe_code)]

use crate::cell_name::{CellName, check_pattern};
use crate::error::Error;
use crate::pattern::Pattern;
use serde::Deserialize;
use std::path::Path;

/// An intended difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Its name, in letters, digits and hyphens.
    pub id: String,
    /// In which scenarios it is seen.
    pub scenario: Scenarios,
    /// In which cells: what their names look like.
    pub what: Pattern,
    /// What the old kerneld does. A `{name}` that is in both `old` and `new` stands for the same text.
    pub old: Pattern,
    /// What the new one does.
    pub new: Pattern,
    /// Whether every scenario that it names has to show it: not where it is left to chance.
    #[serde(default = "yes")]
    pub always: bool,
    /// Why that is better, or cannot be otherwise.
    pub why: String,
    /// Where more is said: a file of this project, with a heading after `#`.
    pub docs: String,
}

/// Names of scenarios with blanks between them, `*` standing for any text. A lone `*` is a rule for all
/// of them, which need not show in each.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Scenarios(Vec<Pattern>);

impl Scenarios {
    fn include(&self, scenario: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(scenario))
    }
}

impl TryFrom<String> for Scenarios {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.split_whitespace().map(Pattern::new).collect::<Result<_, _>>().map(Scenarios)
    }
}

/// An intended difference that no scenario can show.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unseen {
    /// Its name.
    pub id: String,
    /// What the old kerneld does.
    pub old: String,
    /// What the new one does.
    pub new: String,
    /// Why no scenario can show it.
    pub why: String,
    /// Where more is said.
    pub docs: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    difference: Vec<Difference>,
    #[serde(default)]
    unseen: Vec<Unseen>,
}

fn yes() -> bool {
    true
}

impl Difference {
    /// Whether this scenario has to show it.
    pub fn names(&self, scenario: &str) -> bool {
        self.always && self.scenario.include(scenario) && !self.scenario.0.iter().any(Pattern::fits_all)
    }

    /// Whether it explains this cell.
    pub fn explains(&self, scenario: &str, what: &CellName, old: &str, new: &str) -> bool {
        if !self.scenario.include(scenario) || !self.what.matches(&what.to_string()) {
            return false;
        }
        match (self.old.bind(old), self.new.bind(new)) {
            (Some(old), Some(new)) => {
                old.iter().all(|(name, text)| new.get(name).is_none_or(|other| other == text))
            }
            _ => false,
        }
    }
}

/// Reads the differences.
///
/// # Errors
/// [`Error::Wrong`], with file, line and what is wrong there; two entries of one id; an entry that accepts
/// just anything, and so would hide what goes wrong later; one whose `what` no cell can be called.
pub fn parse(text: &str, file: &Path) -> Result<Vec<Difference>, Error> {
    let all = read(text, file)?.difference;
    let wrong = |why: String| Error::Wrong { file: file.to_owned(), line: None, why };
    for (at, difference) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.id == difference.id) {
            return Err(wrong(format!("two differences have the id {:?}", difference.id)));
        }
        if [&difference.what, &difference.old, &difference.new].iter().any(|pattern| pattern.fits_all()) {
            let why = "accepts anything: name the cell, and what is seen in it on either side";
            return Err(wrong(format!("the difference {:?} {why}", difference.id)));
        }
        check_pattern(difference.what.as_str())
            .map_err(|why| wrong(format!("the difference {:?}: {why}", difference.id)))?;
    }
    Ok(all)
}

fn read(text: &str, file: &Path) -> Result<File, Error> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Error::wrong_at(file, text, at, error.message())
    })
}

/// The differences of a file that no scenario can show.
///
/// # Errors
/// As [`load`].
pub fn unseen(file: &Path) -> Result<Vec<Unseen>, Error> {
    Ok(read(&contents(file)?, file)?.unseen)
}

fn contents(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|why| Error::Read {
        what: "the differences",
        path: file.to_owned(),
        why,
    })
}

/// Reads the file of differences.
///
/// # Errors
/// As [`parse`]; or when it cannot be read.
pub fn load(file: &Path) -> Result<Vec<Difference>, Error> {
    parse(&contents(file)?, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
        [[difference]]
        id = "argv"
        scenario = "load*"
        what = "helper * argv"
        old = "modprobe -k -s {name}"
        new = "modprobe -q -- {name}"
        why = "as kmod"
        docs = "docs/behaviour.md"
    "#;

    fn what(text: &str) -> CellName {
        format!("helper '{text}' argv").parse().unwrap()
    }

    #[test]
    fn an_entry_that_no_cell_is_called_like_is_told_with_its_name() {
        let error = parse(&ENTRY.replace("* argv", "* args"), Path::new("d.toml")).unwrap_err().to_string();
        assert!(
            error.starts_with("d.toml: the difference \"argv\": \"helper * args\" names no cell"),
            "{error}"
        );
    }

    #[test]
    fn a_name_stands_for_the_same_on_both_sides() {
        let all = parse(ENTRY, Path::new("d.toml")).unwrap();
        let explains = |new| all[0].explains("load-a", &what("ppp"), "modprobe -k -s ppp", new);
        assert!(explains("modprobe -q -- ppp"));
        assert!(!explains("modprobe -q -- slip"));
        assert!(!all[0].explains("other", &what("ppp"), "modprobe -k -s ppp", "modprobe -q -- ppp"));
    }

    #[test]
    fn scenarios_are_named_one_by_one_or_not_at_all() {
        let named = |scenario: &str| {
            let text = ENTRY.replace("load*", scenario);
            parse(&text, Path::new("d.toml")).unwrap().remove(0)
        };
        let some = named("unload load-*");
        assert!(some.names("unload") && some.names("load-fold") && !some.names("load"));
        let all = named("*");
        assert!(
            !all.names("load") && all.explains("load", &what("a"), "modprobe -k -s a", "modprobe -q -- a")
        );
    }

    #[test]
    fn an_id_is_given_once_and_keys_are_known() {
        assert!(parse(&ENTRY.repeat(2), Path::new("d.toml")).unwrap_err().to_string().contains("\"argv\""));
        let error = parse(&ENTRY.replace("why", "because"), Path::new("d.toml")).unwrap_err().to_string();
        assert!(error.starts_with("d.toml:"), "{error}");
    }

    #[test]
    fn an_entry_that_accepts_anything_is_none() {
        for key in ["what", "old", "new"] {
            let line = ENTRY.lines().find(|line| line.trim().starts_with(key)).unwrap();
            let text = ENTRY.replace(line, &format!("{key} = \"*\""));
            let error = parse(&text, Path::new("d.toml")).unwrap_err().to_string();
            assert!(error.contains("\"argv\" accepts anything"), "{error}");
        }
    }
}
