//! Patterns for people: `*` stands for any text, `{name}` for any text that is the same wherever the
//! name comes again.
#![forbid(unsafe_code)]

use crate::error::Error;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A pattern over a whole text.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// What the `{name}`s of a pattern stood for.
pub type Bindings = BTreeMap<String, String>;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// For a `{` that begins no `{name}`.
    pub fn new(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Pattern { text: text.to_owned(), why };
        let mut regex = String::from("(?s)^");
        let mut rest = text;
        while let Some(at) = rest.find(['*', '{']) {
            regex.push_str(&regex_lite::escape(&rest[..at]));
            if rest[at..].starts_with('*') {
                regex.push_str(".*");
                rest = &rest[at + 1..];
                continue;
            }
            let end = rest[at..].find('}').ok_or_else(|| wrong("{ without }".to_owned()))?;
            regex.push_str(&format!("(?P<{}>.*)", &rest[at + 1..at + end]));
            rest = &rest[at + end + 1..];
        }
        regex.push_str(&regex_lite::escape(rest));
        regex.push('$');
        let regex = Regex::new(&regex).map_err(|error| wrong(error.to_string()))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// Whether it fits a text.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Whether it is a lone `*`.
    pub fn fits_all(&self) -> bool {
        self.text == "*"
    }

    /// What its names stand for in a text; `None` when it does not fit.
    pub fn bind(&self, text: &str) -> Option<Bindings> {
        let found = self.regex.captures(text)?;
        let names = self.regex.capture_names().flatten();
        Some(
            names.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned()))).collect(),
        )
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Fits any text.
impl Default for Pattern {
    fn default() -> Self {
        Pattern::new("*").unwrap_or_else(|error| unreachable!("{error}"))
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Pattern::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        let pattern = Pattern::new("modprobe -k (*)").unwrap();
        assert!(pattern.matches("modprobe -k (a.b)") && !pattern.matches("modprobe -k a"));
        assert!(Pattern::default().matches("") && Pattern::default().matches("two\nlines"));
        assert!(Pattern::new("{name").is_err());
    }

    #[test]
    fn names_are_bound() {
        let bound = Pattern::new("modprobe {name} {rest}").unwrap().bind("modprobe a b c").unwrap();
        assert!(bound["rest"] == "c" || bound["name"] == "a");
    }
}
