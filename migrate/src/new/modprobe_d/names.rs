//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

use kerneld_kmod::underscored;

use std::collections::BTreeMap;

use super::lines::{OFF, Subject, Writer, reason};
use super::words::{self, Owner};
use crate::account::{Kind, LineId, Question};
use crate::names::modules::{self, Today};
use crate::names::{is_plain, requests};
use crate::new::output::OutputLine;
use crate::old::bytes::for_display;
use crate::old::modules_conf::{End, Given, ListKind};

impl Writer<'_> {
    /// Writes everything that the meaning says.
    pub(super) fn all(&mut self) {
        let meaning = self.meaning;
        for name in &meaning.names {
            let lines = self.lines_of(name);
            match self.check_name(name) {
                Ok(()) => self.name(name, &lines),
                Err(question) => self.refuse(&lines, &question),
            }
        }
        if !self.off.is_empty() {
            let from = std::mem::take(&mut self.off);
            self.out.commands.push(OutputLine { text: format!("install {OFF} /bin/true"), from });
        }
    }

    /// Whether a name can be written for kmod, and is not the same as another name to kmod.
    fn check_name(&mut self, name: &str) -> Result<(), Question> {
        if name.starts_with('/') {
            return Ok(());
        }
        let clash = |why: String| Err(Question::new(Kind::Clash, why));
        if !is_writable(name) {
            let name = for_display(name);
            return Err(Question::new(Kind::Value, format!("kmod cannot be given the name {name}")));
        }
        let key = underscored(name);
        if let Some(other) = self.taken.get(&key).filter(|other| *other != name) {
            return clash(format!(
                "{name} and {other} are two names to modutils and one to kmod, which takes - for _"
            ));
        }
        self.taken.insert(key, name.to_owned());
        Ok(())
    }

    fn name(&mut self, name: &str, lines: &[LineId]) {
        if name.starts_with('/') {
            return self.left_out(lines, "names of device files were for devfs, which is gone");
        }
        let resolved = self.meaning.resolve(name);
        // an alias comes from the lines that lead to the module, not from those that set it up
        let mut from = if resolved.lines.is_empty() { lines.to_vec() } else { resolved.lines.clone() };
        from.sort_unstable();
        from.dedup();
        let note = requests::today(name).note;
        if self.meaning.is_for_nobody(name) {
            return self.left_out(lines, &note);
        }
        match &resolved.end {
            End::Loop => {
                let why = format!("the aliases of {name} lead back to themselves: modutils gave up here");
                self.refuse_for(lines, Kind::Clash, &why);
            }
            End::Off => self.off(name, lines, &from),
            End::List(kind, list) if list == name => self.probe(*kind, name, lines),
            End::List(kind, list) => self.alias_of_list(name, &resolved.chain, (*kind, list), lines, &from),
            End::Module(module) => {
                let chain = &resolved.chain;
                self.module_or_alias(&Subject { name, module, chain, lines, from: &from });
            }
        }
    }

    /// An alias of a `probe` or `probeall` name.
    fn alias_of_list(
        &mut self,
        name: &str,
        chain: &[String],
        (kind, list): (ListKind, &str),
        lines: &[LineId],
        from: &[LineId],
    ) {
        if chain.iter().any(|name| self.says_more(name)) {
            let why = format!(
                "{name} leads to {list}, which stands for several modules: give this to each of them"
            );
            return self.refuse_for(lines, Kind::Clash, &why);
        }
        if !self.has_member(kind, list) {
            let why = format!("none of the modules of {list} can be loaded today");
            return self.left_out(lines, &why);
        }
        let base = self.virtual_name(list);
        for form in self.forms(name, &base, from) {
            self.alias(&form, &base, from);
        }
        self.rewritten(lines, &requests::today(name).note);
    }

    fn module_or_alias(&mut self, subject: &Subject) {
        let Subject { name, module, lines, .. } = *subject;
        match modules::today_for(name, module, self.kernel) {
            Today::Gone { why } | Today::Absent { why, .. } => {
                self.left_out(lines, &format!("{module} is {}", reason(&why)));
            }
            Today::External { why } => {
                let why = format!("{module} is not part of the kernel: {why}");
                self.refuse_for(lines, Kind::Unknown, &why);
            }
            Today::Unknown => self.unknown(subject),
            Today::Builtin { name: today } => self.builtin(subject, &today),
            Today::Module { name: today, note } => {
                self.rewritten(lines, &note);
                self.live(subject, &today);
            }
        }
    }

    /// A module that neither the kernel at hand nor the table of names knows.
    fn unknown(&mut self, subject: &Subject) {
        let Subject { module, lines, .. } = *subject;
        if !is_plain(module) {
            let why = format!("{} cannot be the name of a module", for_display(module));
            return self.refuse_for(lines, Kind::Value, &why);
        }
        if let Some(kernel) = self.kernel {
            let release = &kernel.release;
            let why = format!(
                "the kernel {release} has no module {module}, and nothing is known of it: is it built elsewhere?"
            );
            return self.refuse_for(lines, Kind::Unknown, &why);
        }
        let note = "is not in the table of known modules; state a kernel to have it checked";
        self.rewritten(lines, &format!("{module} {note}"));
        self.live(subject, module);
    }

    /// A name whose module can be loaded today.
    fn live(&mut self, subject: &Subject, today: &str) {
        let Subject { name, module, chain, lines, from } = *subject;
        if chain.is_empty() {
            return self.module(name, today, lines);
        }
        if let Some(other) = self.contended(name, today) {
            let why = format!(
                "the kernel leads every minor of {name} to {other}, and other lines lead some of them elsewhere: \
                 write which minors {today} is to have"
            );
            return self.refuse_for(lines, Kind::Clash, &why);
        }
        self.rewritten(lines, &requests::today(name).note);
        self.other_names(module, chain);
        if chain.iter().any(|name| self.has_actions(name)) {
            return self.virtual_alias(subject, today);
        }
        let words = self.meaning.alias_options(chain);
        if words.is_empty() {
            return self.aliases(name, today, from);
        }
        for form in self.forms(name, today, from) {
            let key = if self.alias(&form, today, from) { form.as_str() } else { today };
            self.options_line(key, (module, today), words.clone(), true);
        }
    }

    /// A name whose module the kernel has built in: nothing is loaded, and nothing takes options or commands.
    fn builtin(&mut self, subject: &Subject, today: &str) {
        let Subject { name, module, chain, lines, from } = *subject;
        let acts = self.has_actions(name) || chain.iter().any(|name| self.has_actions(name));
        if !chain.is_empty() && !acts {
            self.aliases(name, today, from);
        }
        let given = self.command_line(name, (module, today));
        for line in lines {
            if let Some(why) = given.get(line) {
                if self.switches_off(name, *line) {
                    self.refuse_for(&[*line], Kind::SwitchedOff, why);
                } else {
                    self.left_out(&[*line], why);
                }
            } else if acts {
                let why = format!(
                    "{today} is built into the kernel and never loaded: run this from a start-up script"
                );
                self.account.needs_attention(*line, Kind::BuiltIn, why);
            } else {
                let was = if underscored(module) == underscored(today) { "" } else { module };
                let was = if was.is_empty() { String::new() } else { format!(" (it was {was})") };
                self.account.rewritten(*line, format!("{today}{was} is built into the kernel"));
            }
        }
    }

    /// What becomes of the options of a name whose module is built in, line by line: the kernel's command line
    /// takes those that exist.
    fn command_line(&mut self, name: &str, (old, today): (&str, &str)) -> BTreeMap<LineId, String> {
        let given: Vec<Given> =
            self.meaning.options.get(name).into_iter().flat_map(|options| options.words.clone()).collect();
        let mut reasons: BTreeMap<LineId, String> = BTreeMap::new();
        let mut add = |line: LineId, why: &str| {
            let text = reasons.entry(line).or_default();
            text.push_str(if text.is_empty() { "" } else { "; " });
            text.push_str(why);
        };
        let words = words::today(Owner { old, today, kernel: self.kernel }, given);
        for word in &words.own {
            let parameter = format!("{}.{}", underscored(today), word.text);
            let why =
                format!("{today} is built into the kernel, whose command line takes this as {parameter}");
            add(word.line, &why);
        }
        words.gone.iter().for_each(|(word, why)| add(word.line, why));
        words.refused.iter().for_each(|(word, question)| add(word.line, &question.why));
        words
            .moved
            .iter()
            .for_each(|(module, word)| add(word.line, &format!("`{}` belongs to {module}", word.text)));
        reasons
    }

    /// A module's own options, commands, above and below.
    fn module(&mut self, name: &str, today: &str, lines: &[LineId]) {
        let other = self.owners.insert(underscored(today), name.to_owned());
        if let Some(other) = other.filter(|other| self.has_actions(other) && self.has_actions(name)) {
            let why = format!("{other} and {name} are both {today} today: write one set of commands for it");
            return self.refuse_for(lines, Kind::Clash, &why);
        }
        self.other_names(name, &[name.to_owned()]);
        let before = self.out.module_options.len();
        self.options_line(today, (name, today), self.meaning.module_options(name), false);
        // programs that load it by its old name are to find it as it was set up
        let is_set_up = self.has_actions(name) || self.out.module_options.len() > before;
        if is_set_up && !self.is_module(name) {
            let written = self.out.module_options[before..].iter().flat_map(|line| &line.from).copied();
            let acting = lines.iter().copied().filter(|line| self.acts(name, *line));
            let from: Vec<LineId> = written.chain(acting).collect();
            self.alias(name, today, &from);
        }
        self.load_commands(name, today);
        self.remove_commands(name, today, &[name.to_owned()]);
    }
}

/// Whether kmod takes a name for what it is: no pattern of its own, no quotes, no comment.
fn is_writable(name: &str) -> bool {
    !(name.ends_with("-*")
        || name.contains(['[', ']', '"', '\'', '\\', '#'])
        || name.chars().any(char::is_control)
        || name.starts_with('-'))
}
