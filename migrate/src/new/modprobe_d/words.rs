//! Option words for modprobe.d: parameters in their names of today, values quoted as the kernel reads them.

use std::collections::HashMap;

use crate::account::{Kind, Question};
use crate::names::parameters::{self, Parameter};
use crate::old::modules_conf::{End, Given, Meaning};

/// The words of one `options` line and what was said about each.
#[derive(Debug, Default)]
pub struct Words {
    /// The words for the module itself.
    pub own: Vec<Given>,
    /// Words that belong to another module today.
    pub moved: Vec<(&'static str, Given)>,
    /// Words that are gone, with the reason.
    pub gone: Vec<(Given, String)>,
}

/// Puts the words of an old module's options into today's names.
pub fn today(module: &str, words: Vec<Given>) -> Words {
    let mut out = Words::default();
    for word in words {
        let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
        match parameters::today(module, key) {
            Parameter::Same => out.own.push(word),
            Parameter::Renamed(name) => {
                out.own.push(Given { text: format!("{name}={value}"), line: word.line })
            }
            Parameter::Moved { module, name } => {
                let text = format!("{name}={value}");
                out.moved.push((module, Given { text, line: word.line }));
            }
            Parameter::Gone(why) => {
                let why = format!("{key}= is left out: {why}");
                out.gone.push((word, why));
            }
        }
    }
    out
}

/// A word as an `options` line holds it: `KEY="a b"`, backslashes doubled (kmod takes one level away).
///
/// # Errors
/// When the kernel cannot be given it.
pub fn written(word: &str) -> Result<String, Question> {
    let unfit = |why: String| Err(Question::new(Kind::Value, why));
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        return unfit(format!("`{key}` cannot be the name of a parameter"));
    }
    if value.contains('"') {
        return unfit(format!("the value of {key} holds a double quote, which the kernel cannot be given"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return unfit(format!("the value of {key} holds a control character"));
    }
    let value = value.replace('\\', r"\\");
    Ok(if value.chars().any(char::is_whitespace) {
        format!("{key}=\"{value}\"")
    } else {
        format!("{key}={value}")
    })
}

/// How many names load each old module under another name.
pub(super) fn renamed(meaning: &Meaning) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for (name, options) in &meaning.options {
        if options.other_name.is_some()
            && let End::Module(module) = meaning.resolve(name).end
        {
            *counts.entry(module).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_kernel_reads_them() {
        assert_eq!(written("str=x  y").unwrap(), "str=\"x  y\"");
        assert_eq!(written(r"path=a\b").unwrap(), r"path=a\\b");
        assert!(written("a=\"").is_err());
        assert!(written("a b=c").is_err());
    }
}
