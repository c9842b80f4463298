//! What no value shows by itself: two that cannot both be.
#![forbid(unsafe_code)]

use super::PersistConfig;
use crate::order::name::underscored;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use toml::Spanned;
use toml::de::{Error, from_str};

/// A clash, and the byte where the later of the two stands.
pub struct Clash {
    pub at: usize,
    pub what: String,
}

/// The keys that can clash, with their places.
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

/// Finds the first clash in a file whose values are sound each for itself.
///
/// # Errors
/// When it is not sound.
pub fn find(text: &str) -> Result<Option<Clash>, Error> {
    let Places { system, persist } = from_str(text)?;
    let numbers = same_number(&persist);
    Ok(repeated(system.iter().map(|system| &system.text), str::to_owned)
        .or(numbers)
        .or_else(|| repeated(persist.settings.keys(), underscored)))
}

fn repeated<'a>(
    names: impl Iterator<Item = &'a Spanned<String>>,
    as_compared: impl Fn(&str) -> String,
) -> Option<Clash> {
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|name| name.span().start);
    let mut seen = HashSet::new();
    let again = names.into_iter().find(|name| !seen.insert(as_compared(name.get_ref())))?;
    Some(Clash { at: again.span().start, what: format!("{:?} is listed twice", again.get_ref()) })
}

fn same_number(persist: &Persist) -> Option<Clash> {
    let default = PersistConfig::default();
    let number = |given: &Option<Spanned<u8>>, default| given.as_ref().map_or(default, |n| *n.get_ref());
    let get = number(&persist.get_number, default.get_number);
    if get != number(&persist.set_number, default.set_number) {
        return None;
    }
    let given = persist.get_number.iter().chain(&persist.set_number);
    let at = given.map(|number| number.span().start).max().unwrap_or(0);
    Some(Clash { at, what: format!("get-number and set-number are both {get}: they must differ") })
}
