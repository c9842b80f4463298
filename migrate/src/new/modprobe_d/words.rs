//! Option words for modprobe.d: parameters in their names of today, values quoted as the kernel reads them.

use std::collections::HashMap;

use crate::account::{Kind, Question};
use crate::module_index::{Kernel, Suits};
use crate::names::parameters::{self, Parameter};
use crate::old::modules_conf::{End, Given, Meaning};

/// The words of one `options` line and what was said about each.
#[derive(Debug, Default)]
pub struct Words {
    /// The words for the module itself.
    pub own: Vec<Given>,
    /// Words that belong to another module today.
    pub moved: Vec<(&'static str, Given)>,
    /// Words that are left out, with the reason.
    pub gone: Vec<(Given, String)>,
    /// Words that a person has to look at.
    pub refused: Vec<(Given, Question)>,
}

/// A module whose parameters are put into today's names.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Its old name.
    pub old: &'a str,
    /// Its name of today.
    pub today: &'a str,
    /// The kernel that decides which parameters there are.
    pub kernel: Option<&'a Kernel>,
}

/// Puts the words of an old module's options into today's names.
pub fn today(owner: Owner, words: Vec<Given>) -> Words {
    let mut out = Words::default();
    for word in words {
        let (key, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
        let given = |name: &str| Given { text: format!("{name}={value}"), line: word.line };
        match parameters::today(owner.old, key) {
            Parameter::Gone(why) => {
                let why = format!("{key}= is left out: {why}");
                out.gone.push((word, why));
            }
            Parameter::Moved { module, name } => {
                let moved = given(name);
                match refusal(module, name, value, owner.kernel) {
                    None => out.moved.push((module, moved)),
                    Some(refusal) => out.refuse(word, refusal),
                }
            }
            Parameter::Same => {
                let name = found(owner, key).unwrap_or(key);
                let own = if name == key { word.clone() } else { given(name) };
                out.own(owner, own, word);
            }
            Parameter::Renamed(name) => {
                let own = given(&name);
                out.own(owner, own, word);
            }
        }
    }
    out
}

impl Words {
    fn own(&mut self, owner: Owner, own: Given, word: Given) {
        let (name, value) = own.text.split_once('=').unwrap_or((&own.text, ""));
        match refusal(owner.today, name, value, owner.kernel) {
            None => self.own.push(own),
            Some(Refusal::Unfit(_)) if one_for_all(owner, name, value).is_some() => {
                let text = format!("{name}={}", one_for_all(owner, name, value).unwrap_or_default());
                self.own.push(Given { text, line: own.line });
            }
            Some(refusal) => self.refuse(word, refusal),
        }
    }

    fn refuse(&mut self, word: Given, refusal: Refusal) {
        match refusal {
            Refusal::Gone(why) => self.gone.push((word, why)),
            Refusal::Unfit(question) => self.refused.push((word, question)),
        }
    }
}

/// The name under which the module has a parameter today. ALSA's had a `snd_` before each until 2001.
fn found<'a>(owner: Owner, key: &'a str) -> Option<&'a str> {
    let parameters = owner.kernel?.parameters(owner.today)?;
    [Some(key), key.strip_prefix("snd_")].into_iter().flatten().find(|name| parameters.has(name))
}

/// The one value of a list that gave each card the same, where today's module takes one for all cards.
fn one_for_all<'a>(owner: Owner, name: &str, value: &'a str) -> Option<&'a str> {
    let mut values = value.split(',');
    let first = values.next()?;
    let is_same = values.all(|other| other == first);
    (is_same && refusal(owner.today, name, first, owner.kernel).is_none()).then_some(first)
}

enum Refusal {
    Gone(String),
    Unfit(Question),
}

/// Why a module of today cannot be given a parameter, by what its file says.
fn refusal(module: &str, name: &str, value: &str, kernel: Option<&Kernel>) -> Option<Refusal> {
    let parameters = kernel?.parameters(module)?;
    if !parameters.has(name) {
        return Some(Refusal::Gone(format!("{name}= is left out: {module} has no such parameter today")));
    }
    match parameters.suits(name, value) {
        Suits::Yes => None,
        Suits::No(wanted) => {
            let why =
                format!("{module} takes {wanted} for {name} today, and {name}={value} would fail its load");
            Some(Refusal::Unfit(Question::new(Kind::Value, why)))
        }
    }
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
