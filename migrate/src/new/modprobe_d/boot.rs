//! Modules that the old system loaded by name at boot.

use std::collections::HashMap;

use super::lines::Writer;
use super::words;
use crate::new::commands::Member;
use crate::new::output::{OutputLine, comment};
use crate::old::discover::Loaded;
use crate::old::modules_conf::{End, Given};

impl Writer<'_> {
    /// Lines of modules-load.d; options given on the old command line count most, so they come last.
    pub(super) fn boot(&mut self, loaded: &[Loaded]) -> Vec<OutputLine> {
        let mut lines: Vec<OutputLine> = Vec::new();
        let mut place: HashMap<String, usize> = HashMap::new();
        for module in loaded {
            match self.member(&module.name) {
                Member::Name(today) if self.kernel.is_some_and(|kernel| kernel.is_builtin(&today)) => {
                    self.account.dropped(module.line, format!("{today} is built into the kernel"));
                }
                Member::Name(today) => {
                    self.boot_options(module, &today);
                    self.account.rewritten(module.line, "");
                    match place.get(&today) {
                        Some(index) => lines[*index].from.push(module.line),
                        None => {
                            place.insert(today.clone(), lines.len());
                            lines.push(OutputLine { text: today, from: vec![module.line] });
                        }
                    }
                }
                Member::Off => {
                    self.account.dropped(module.line, format!("{} is off: nothing was loaded", module.name))
                }
                Member::Missing(why) => {
                    let text = comment(&format!("left out: {} ({why})", module.name));
                    lines.push(OutputLine { text, from: vec![module.line] });
                    self.account.dropped(module.line, why);
                }
            }
        }
        lines
    }

    fn boot_options(&mut self, module: &Loaded, today: &str) {
        let given = |text: &String| Given { text: text.clone(), line: module.line };
        let old = match self.meaning.resolve(&module.name).end {
            End::Module(old) => old,
            _ => module.name.clone(),
        };
        let words = words::today(&old, module.options.iter().map(given).collect());
        for (word, why) in words.gone {
            self.account.note(word.line, why);
        }
        let moved = words.moved.into_iter().map(|(other, word)| (other.to_owned(), word));
        for (key, word) in words.own.into_iter().map(|word| (today.to_owned(), word)).chain(moved) {
            match words::written(&word.text) {
                Ok(written) => {
                    let text = format!("options {key} {written}");
                    self.out.alias_options.push(OutputLine { text, from: vec![module.line] });
                }
                Err(question) => self.account.ask(module.line, question),
            }
        }
    }
}
