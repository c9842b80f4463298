//! options lines.

use super::lines::{Writer, pattern};
use super::words::{self, Owner, written};
use crate::account::{Fate, Kind};
use crate::new::output::OutputLine;
use crate::old::modules_conf::Given;

impl Writer<'_> {
    /// One `options` line, and one for each module that words moved to.
    pub(in crate::new) fn options_line(
        &mut self,
        key: &str,
        modules: (&str, &str),
        words: Vec<Given>,
        of_alias: bool,
    ) {
        let own = self.todays_words(modules, words, of_alias);
        self.options_words(&pattern(key), own, of_alias);
    }

    /// Puts words for a module (its old name, its name of today) into today's names. What is not for the module
    /// itself is written or accounted for here.
    pub(in crate::new) fn todays_words(
        &mut self,
        (old, today): (&str, &str),
        words: Vec<Given>,
        of_alias: bool,
    ) -> Vec<Given> {
        let owner = Owner { old, today, kernel: self.kernel };
        let words = words::today(owner, words);
        for (word, why) in words.gone {
            self.account.dropped(word.line, why);
        }
        for (word, question) in words.refused {
            self.account.ask(word.line, question);
        }
        for (module, word) in words.moved {
            self.account.note(word.line, format!("`{}` belongs to {module} today", word.text));
            self.options_words(module, vec![word], of_alias);
        }
        words.own
    }

    pub(in crate::new) fn options_words(&mut self, key: &str, words: Vec<Given>, of_alias: bool) {
        for word in &words {
            if let Err(question) = written(&word.text) {
                self.account.ask(word.line, question);
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
            self.account.needs_attention(other.line, Kind::LoadedTwice, why);
        } else {
            self.account
                .dropped(other.line, format!("`-o {}` is left out: a module has one name today", other.text));
        }
    }
}
