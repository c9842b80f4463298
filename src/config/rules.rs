//! Which modules requests may name: `[modules]` of the configuration, compiled. Pure.
#![forbid(unsafe_code)]

use super::value::checked;
use crate::order::name::{ModuleName, Refusal, may_hold, underscored};
use serde::{Deserialize, Deserializer};
use std::fmt;
use wildmatch::WildMatch;

/// `[modules]`: which names of modules or aliases requests may carry, to load or to unload. What
/// modprobe loads along with them is not looked at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Rules {
    /// A name must match one of these.
    pub(crate) allow: Vec<Pattern>,
    /// A name must match none of these.
    pub(crate) deny: Vec<Pattern>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { allow: vec![Pattern::new("*")], deny: Vec::new() }
    }
}

impl Rules {
    /// Whether they leave every name to whoever may send requests.
    pub(crate) fn allow_every_name(&self) -> bool {
        self.allow.iter().any(|pattern| pattern.text == "*")
    }

    /// Whether requests may name `name`.
    ///
    /// # Errors
    /// `EPERM`, with the rule that forbids the name.
    pub(crate) fn allows(&self, name: &ModuleName) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::new(libc::EPERM, format!("name '{name}': {why}")));
        if let Some(pattern) = self.deny.iter().find(|pattern| pattern.matches(name)) {
            return refused(format!("modules.deny has \"{pattern}\""));
        }
        if !self.allow.iter().any(|pattern| pattern.matches(name)) {
            return refused("modules.allow has nothing that matches".to_owned());
        }
        Ok(())
    }
}

/// A name with wildcards: `*` stands for any characters, `?` for one; `-` and `_` are equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    text: String,
    compiled: WildMatch,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Pattern { text: text.to_owned(), compiled: WildMatch::new(&underscored(text)) }
    }

    fn matches(&self, name: &ModuleName) -> bool {
        self.compiled.matches(&underscored(name.as_str()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    /// A pattern that no name can match is a mistake.
    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches no name".to_owned());
        }
        match text.chars().find(|c| !matches!(c, '*' | '?') && !u8::try_from(*c).is_ok_and(may_hold)) {
            Some(c) => Err(format!("pattern {text:?} holds {c:?}, which no name may; wildcards are * and ?")),
            None => Ok(Pattern::new(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect();
        Rules { allow: patterns(allow), deny: patterns(deny) }
    }

    fn errno(rules: &Rules, name: &str) -> i32 {
        rules.allows(&ModuleName::new(name.as_bytes()).unwrap()).map_or_else(|no| no.errno, |()| 0)
    }

    #[test]
    fn by_default_every_name_is_allowed() {
        assert_eq!(errno(&Rules::default(), "char-major-10-144"), 0);
    }

    #[test]
    fn deny_wins_and_what_is_not_allowed_is_refused() {
        let rules = rules(&["ppp*", "net-pf-?"], &["ppp_mppe"]);
        for (name, expected) in [
            ("ppp", 0),
            ("ppp_deflate", 0),
            ("ppp_mppe", libc::EPERM),
            ("ppp-mppe", libc::EPERM),
            ("net_pf_4", 0),
            ("net-pf-10", libc::EPERM),
            ("xppp", libc::EPERM),
        ] {
            assert_eq!(errno(&rules, name), expected, "{name}");
        }
    }

    #[test]
    fn nothing_allowed_is_nothing_allowed() {
        assert_eq!(errno(&rules(&[], &[]), "ppp"), libc::EPERM);
    }

    #[test]
    fn the_refusal_names_the_rule() {
        let name = ModuleName::new(b"usb-storage").unwrap();
        let refusal = rules(&["*"], &["usb_*"]).allows(&name).unwrap_err();
        assert_eq!(refusal.why, "name 'usb-storage': modules.deny has \"usb_*\"");
    }

    #[test]
    fn a_pattern_that_no_name_can_match_is_a_mistake() {
        for text in ["", "snd/*", "[ab]", "a b", "ppp\u{e9}"] {
            assert!(Pattern::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
