//! Option words for modprobe.d: parameters in their names of today, values quoted as the kernel reads them.

use std::collections::HashMap;

use super::lines::{Writer, pattern};
use crate::account::Fate;
use crate::names::parameters::{self, Parameter};
use crate::new::OutputLine;
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
pub fn written(word: &str) -> Result<String, String> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        return Err(format!("`{key}` is no name of a parameter"));
    }
    if value.contains('"') {
        return Err(format!("the value of {key} holds a double quote, which the kernel cannot be given"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("the value of {key} holds a control character"));
    }
    let value = value.replace('\\', r"\\");
    Ok(if value.chars().any(char::is_whitespace) {
        format!("{key}=\"{value}\"")
    } else {
        format!("{key}={value}")
    })
}

impl Writer<'_> {
    /// One `options` line, and one for each module that words moved to.
    pub(in crate::new) fn options_line(
        &mut self,
        key: &str,
        module: &str,
        words: Vec<Given>,
        of_alias: bool,
    ) {
        let words = today(module, words);
        for (word, why) in words.gone {
            self.account.dropped(word.line, why);
        }
        for (module, word) in words.moved {
            self.account.note(word.line, format!("`{}` belongs to {module} today", word.text));
            self.options_words(module, vec![word], of_alias);
        }
        self.options_words(&pattern(key), words.own, of_alias);
    }

    pub(in crate::new) fn options_words(&mut self, key: &str, words: Vec<Given>, of_alias: bool) {
        for word in &words {
            if let Err(why) = written(&word.text) {
                self.account.needs_attention(word.line, why);
            }
        }
        let mut text = format!("options {key}");
        let mut from = Vec::new();
        for word in words {
            // a line that needs a person is left out whole
            if let Ok(written) = written(&word.text)
                && !self.account.has(word.line, Fate::NeedsAttention)
            {
                text.push(' ');
                text.push_str(&written);
                from.push(word.line);
            }
        }
        from.sort_unstable();
        from.dedup();
        if !from.is_empty() {
            let lines = if of_alias { &mut self.out.alias_options } else { &mut self.out.module_options };
            lines.push(OutputLine { text, from });
        }
    }

    /// `-o NAME` loaded a module a second time under another name; no kernel of today can.
    pub(in crate::new) fn other_names(&mut self, module: &str, names: &[String]) {
        let Some(other) = names.iter().find_map(|name| self.meaning.options.get(name)?.other_name.clone())
        else {
            return;
        };
        if self.renamed.get(module).is_some_and(|names| *names > 1) {
            let why = format!(
                "`-o {}` loaded {module} once more under another name, which no kernel can do today: put the parameters of all of them into one line",
                other.text
            );
            self.account.needs_attention(other.line, why);
        } else {
            self.account
                .dropped(other.line, format!("`-o {}` is left out: a module has one name today", other.text));
        }
    }
}

/// How many names load each old module under another name.
pub(in crate::new) fn renamed(meaning: &Meaning) -> HashMap<String, usize> {
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
