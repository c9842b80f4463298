//! Conflicts: two values, each right by itself, that cannot both be.
#![forbid(unsafe_code)]

use super::file::PersistConfig;
use crate::order::name::underscored;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use toml::Spanned;
use toml::de::{Error, from_str};

/// A conflict, and the byte where the later of the two stands.
pub(crate) struct Conflict {
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// The keys that can be in conflict, with their places.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Places {
    system: Vec<System>,
    persist: Persist,
}

#[derive(Deserialize)]
struct System {
    text: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Persist {
    get_number: Option<Spanned<u8>>,
    set_number: Option<Spanned<u8>>,
    settings: BTreeMap<Spanned<String>, toml::Value>,
}

/// Finds the first conflict in a file whose values are right, each by itself.
///
/// # Errors
/// When a value is wrong.
pub(crate) fn find(text: &str) -> Result<Option<Conflict>, Error> {
    let Places { system, persist } = from_str(text)?;
    let numbers = same_number(&persist);
    Ok(repeated(system.iter().map(|system| &system.text), str::to_owned)
        .or(numbers)
        .or_else(|| repeated(persist.settings.keys(), underscored)))
}

fn repeated<'a>(
    names: impl Iterator<Item = &'a Spanned<String>>,
    as_compared: impl Fn(&str) -> String,
) -> Option<Conflict> {
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|name| name.span().start);
    let mut seen = HashSet::new();
    let again = names.into_iter().find(|name| !seen.insert(as_compared(name.get_ref())))?;
    Some(Conflict { at: again.span().start, what: format!("{:?} is listed twice", again.get_ref()) })
}

fn same_number(persist: &Persist) -> Option<Conflict> {
    let default = PersistConfig::default();
    let number = |given: &Option<Spanned<u8>>, default| given.as_ref().map_or(default, |n| *n.get_ref());
    let get = number(&persist.get_number, default.get_number);
    if get != number(&persist.set_number, default.set_number) {
        return None;
    }
    let given = persist.get_number.iter().chain(&persist.set_number);
    let at = given.map(|number| number.span().start).max().unwrap_or(0);
    Some(Conflict { at, what: format!("get-number and set-number are both {get}: they must differ") })
}
