//! Modules that the old system loaded by name at boot.

use std::collections::HashMap;

use super::lines::Writer;
use crate::account::{Kind, LineId};
use crate::names::modules::{self, Today};
use crate::new::commands::Member;
use crate::new::output::{OutputLine, comment};
use crate::old::discover::Loaded;
use crate::old::modules_conf::{End, Given};

/// The lines of modules-load.d, and where each module is among them.
#[derive(Default)]
struct Boot {
    lines: Vec<OutputLine>,
    place: HashMap<String, usize>,
}

impl Boot {
    /// Has a module loaded at boot, once, however many lines ask for it.
    fn load(&mut self, module: String, line: LineId) {
        let index = *self.place.entry(module.clone()).or_insert(self.lines.len());
        if index == self.lines.len() {
            self.lines.push(OutputLine { text: module, from: vec![] });
        }
        self.lines[index].from.push(line);
    }
}

impl Writer<'_> {
    /// Lines of modules-load.d; options given on the old command line count most, so they come last.
    pub(super) fn boot(&mut self, loaded: &[Loaded]) -> Vec<OutputLine> {
        let mut boot = Boot::default();
        for module in loaded {
            for member in self.boot_members(&module.name) {
                self.boot_member(module, member, &mut boot);
            }
        }
        boot.lines
    }

    fn boot_member(&mut self, module: &Loaded, member: Member, boot: &mut Boot) {
        match member {
            Member::Name(today) if self.kernel.is_some_and(|kernel| kernel.is_builtin(&today)) => {
                self.account.dropped(module.line, format!("{today} is built into the kernel"));
            }
            Member::Name(today) => {
                self.boot_options(module, &today);
                self.account.rewritten(module.line, "");
                boot.load(today, module.line);
            }
            Member::Off => {
                self.account.dropped(module.line, format!("{} is off: nothing was loaded", module.name));
            }
            Member::Missing(why) if self.may_be_built_elsewhere(&module.name) => {
                self.account.needs_attention(module.line, Kind::Unknown, why);
            }
            Member::Missing(why) => {
                let text = comment(&format!("left out: {} ({why})", module.name));
                boot.lines.push(OutputLine { text, from: vec![module.line] });
                self.account.dropped(module.line, why);
            }
        }
    }

    /// What a name stands for: all members of a list that has no line of its own any more.
    fn boot_members(&self, name: &str) -> Vec<Member> {
        match self.meaning.resolve(name).end {
            End::List(kind, list) if self.meaning.is_for_nobody(&list) && self.has_member(kind, &list) => {
                self.meaning.members(kind, &list).iter().map(|member| self.member(&member.text)).collect()
            }
            _ => vec![self.member(name)],
        }
    }

    /// Whether neither the kernel at hand nor the table of names can tell what became of a module.
    fn may_be_built_elsewhere(&self, name: &str) -> bool {
        let End::Module(module) = self.meaning.resolve(name).end else { return false };
        matches!(modules::today_for(name, &module, self.kernel), Today::External { .. } | Today::Unknown)
    }

    fn boot_options(&mut self, module: &Loaded, today: &str) {
        let given = |text: &String| Given { text: text.clone(), line: module.line };
        let old = match self.meaning.resolve(&module.name).end {
            End::Module(old) => old,
            _ => module.name.clone(),
        };
        let words = module.options.iter().map(given).collect();
        let own = self.todays_words((&old, today), words, true);
        self.options_words(today, own, true);
    }
}
