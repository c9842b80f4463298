//! What a request for a name meant under modutils: aliases followed, levels of options merged.

use std::collections::{HashMap, HashSet};

use super::defaults;
use super::directive::ListKind;
use super::meaning::{Given, Meaning, Options};
use crate::account::LineId;

/// After so many aliases modutils took a chain for a loop (modprobe.c).
const DEEPEST: usize = 1000;

/// Where a chain of aliases ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A real module's name.
    Module(String),
    /// `off` or `null`: success, and nothing is loaded.
    Off,
    /// A `probe` or `probeall` name.
    List(ListKind, String),
    /// The chain never ends.
    Loop,
}

/// A request followed to its end.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The names on the way: the requested one first; the module is not in it.
    pub chain: Vec<String>,
    /// The end.
    pub end: End,
    /// The configuration lines that made the chain (built-in steps have none).
    pub lines: Vec<LineId>,
}

impl Meaning {
    /// The target of an alias, the configuration's own or the built-in one.
    pub fn target(&self, name: &str) -> Option<(&str, Option<LineId>)> {
        match self.aliases.get(name) {
            Some(alias) => Some((&alias.target, Some(alias.line))),
            None => defaults::alias(name).map(|target| (target, None)),
        }
    }

    /// Follows a name as modprobe did.
    pub fn resolve(&self, name: &str) -> Resolved {
        let mut resolved = Resolved { chain: Vec::new(), end: End::Loop, lines: Vec::new() };
        let mut seen = HashSet::new();
        let mut name = name;
        while seen.len() < DEEPEST && seen.insert(name) {
            if matches!(name, "off" | "null") {
                resolved.end = End::Off;
                return resolved;
            }
            for kind in [ListKind::Probe, ListKind::Probeall] {
                if !self.members(kind, name).is_empty() {
                    resolved.end = End::List(kind, name.to_owned());
                    return resolved;
                }
            }
            // an alias to itself is the module
            match self.target(name).filter(|(target, _)| *target != name) {
                Some((target, line)) => {
                    resolved.chain.push(name.to_owned());
                    resolved.lines.extend(line);
                    name = target.strip_suffix(".o").unwrap_or(target);
                }
                None => {
                    resolved.lines.extend(self.aliases.get(name).map(|alias| alias.line));
                    resolved.end = End::Module(name.to_owned());
                    return resolved;
                }
            }
        }
        resolved
    }

    /// The options that the alias names of a chain add: the inner names first, a later equal key in place of
    /// the earlier one.
    pub fn alias_options(&self, chain: &[String]) -> Vec<Given> {
        merged(chain.iter().rev().filter_map(|name| self.options.get(name)))
    }

    /// The options of the module itself.
    pub fn module_options(&self, module: &str) -> Vec<Given> {
        merged(self.options.get(module))
    }
}

/// insmod's argument vector: an equal `KEY=` is overwritten where it stands.
fn merged<'a>(levels: impl IntoIterator<Item = &'a Options>) -> Vec<Given> {
    let mut words: Vec<Given> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    for word in levels.into_iter().flat_map(|options| &options.words) {
        let key = word.text.split('=').next().unwrap_or_default();
        match place.get(key) {
            Some(index) => words[*index] = word.clone(),
            None => {
                place.insert(key, words.len());
                words.push(word.clone());
            }
        }
    }
    words
}
