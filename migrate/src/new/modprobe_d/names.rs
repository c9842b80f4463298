//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

use std::collections::BTreeMap;

use super::lines::Writer;
use crate::account::{Account, LineId};
use crate::module_index::Kernel;
use crate::names::modules::{self, Today};
use crate::names::{canonical, is_plain, requests};
use crate::new::daemon::MODULES_LOAD;
use crate::new::{EARLY, LATE, OutputFile, OutputLine};
use crate::old::modules_conf::{End, Meaning};

/// The name that `off` requests are sent to: an install line that succeeds and loads nothing.
pub const OFF: &str = "kerneld_migrated_off";

/// A name of the old configuration that ends at a module.
#[derive(Clone, Copy)]
pub(in crate::new) struct Subject<'a> {
    /// The name.
    pub name: &'a str,
    /// The old module that it ends at.
    pub module: &'a str,
    /// The aliases on the way, the name first; empty when the name is the module's.
    pub chain: &'a [String],
    /// The lines that speak of the name.
    pub lines: &'a [LineId],
    /// These, and the lines of the aliases on the way.
    pub from: &'a [LineId],
}

impl Writer<'_> {
    /// Writes everything that the meaning says.
    fn all(&mut self) {
        let meaning = self.meaning;
        for name in &meaning.names {
            let lines = self.lines_of(name);
            match self.check_name(name) {
                Ok(()) => self.name(name, &lines),
                Err(why) => self.refuse(&lines, &why),
            }
        }
        if !self.off.is_empty() {
            let from = std::mem::take(&mut self.off);
            self.out.commands.push(OutputLine { text: format!("install {OFF} /bin/true"), from });
        }
    }

    /// Whether a name can be written for kmod, and is not the same as another name to kmod.
    fn check_name(&mut self, name: &str) -> Result<(), String> {
        if name.starts_with('/') {
            return Ok(());
        }
        if name.ends_with("-*")
            || name.contains(['[', ']', '"', '\'', '\\', '#'])
            || name.chars().any(char::is_control)
            || name.starts_with('-')
        {
            return Err(format!("kmod cannot be given the name {}", crate::old::bytes::for_display(name)));
        }
        if self.meaning.has_minors(name) && !requests::today(name).today.is_empty() {
            return Err(format!(
                "{name} stands beside names with a minor number: kmod would load the modules of both, so write which \
                 minors you mean"
            ));
        }
        let key = canonical(name);
        if let Some(other) = self.taken.get(&key).filter(|other| *other != name) {
            return Err(format!(
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
        let mut from = resolved.lines.clone();
        from.extend_from_slice(lines);
        from.sort_unstable();
        from.dedup();
        let note = requests::today(name).note;
        if self.meaning.is_for_nobody(name, &resolved.chain) {
            return self.left_out(lines, &note);
        }
        match &resolved.end {
            End::Loop => self.refuse(
                lines,
                &format!("the aliases of {name} lead back to themselves: modutils gave up here"),
            ),
            End::Off => self.off(name, lines, &from),
            End::List(kind, list) if list == name => self.probe(*kind, name, lines),
            End::List(_, list) if resolved.chain.iter().any(|name| self.says_more(name)) => {
                let why = format!(
                    "{name} leads to {list}, which stands for several modules: give this to each of them"
                );
                self.refuse(lines, &why);
            }
            End::List(_, list) => {
                let base = self.virtual_name(list);
                for form in self.meaning.forms(name) {
                    self.alias(&form, &base, &from);
                }
                self.rewritten(lines, &note);
            }
            End::Module(module) => {
                let chain = &resolved.chain;
                self.module_or_alias(&Subject { name, module, chain, lines, from: &from });
            }
        }
    }

    fn module_or_alias(&mut self, subject: &Subject) {
        let Subject { name, module, lines, .. } = *subject;
        match modules::today_for(name, module, self.kernel) {
            Today::Gone { why } | Today::Absent { why, .. } => {
                self.left_out(lines, &format!("{module} is {}", reason(&why)));
            }
            Today::External { why } => self.refuse(lines, &format!("{module} is not of the kernel: {why}")),
            Today::Unknown if !is_plain(module) => {
                self.refuse(
                    lines,
                    &format!("{} is no module's name", crate::old::bytes::for_display(module)),
                );
            }
            Today::Unknown => match self.kernel {
                Some(kernel) => {
                    let release = &kernel.release;
                    let why = format!(
                        "{module} is no module of the kernel {release}, and nothing is known of it: is it built elsewhere?"
                    );
                    self.refuse(lines, &why);
                }
                None => {
                    let note = "is not in the table of known modules; state a kernel to have it checked";
                    self.rewritten(lines, &format!("{module} {note}"));
                    self.live(subject, module);
                }
            },
            Today::Builtin { name: today } => self.builtin(subject, &today),
            Today::Module { name: today, note } => {
                self.rewritten(lines, &note);
                self.live(subject, &today);
            }
        }
    }

    /// A name whose module can be loaded today.
    fn live(&mut self, subject: &Subject, today: &str) {
        let Subject { name, module, chain, lines, from } = *subject;
        if chain.is_empty() {
            return self.module(name, today, lines);
        }
        self.rewritten(lines, &requests::today(name).note);
        self.other_names(module, chain);
        if chain.iter().any(|name| self.has_actions(name)) {
            return self.virtual_alias(subject, today);
        }
        let words = self.meaning.alias_options(chain);
        for form in self.meaning.forms(name) {
            let key = if self.alias(&form, today, from) { form.as_str() } else { today };
            self.options_line(key, module, words.clone(), true);
        }
    }

    /// A name whose module the kernel has built in: nothing is loaded, and nothing takes options or commands.
    fn builtin(&mut self, subject: &Subject, today: &str) {
        let Subject { name, module, chain, lines, from } = *subject;
        let acts = self.has_actions(name) || chain.iter().any(|name| self.has_actions(name));
        if !chain.is_empty() && !acts {
            for form in self.meaning.forms(name) {
                self.alias(&form, today, from);
            }
        }
        let mut given: BTreeMap<LineId, String> = BTreeMap::new();
        for word in self.meaning.options.get(name).into_iter().flat_map(|options| &options.words) {
            let text = given.entry(word.line).or_default();
            text.push_str(&format!(" {}.{}", canonical(today), word.text));
        }
        for line in lines {
            if let Some(words) = given.get(line) {
                let why =
                    format!("{today} is built into the kernel, whose command line takes this as{words}");
                self.left_out(&[*line], &why);
            } else if acts {
                let why = format!(
                    "{today} is built into the kernel and never loaded: run this from a start-up script"
                );
                self.account.needs_attention(*line, why);
            } else {
                let was = if canonical(module) == canonical(today) { "" } else { module };
                let was = if was.is_empty() { String::new() } else { format!(" (it was {was})") };
                self.account.rewritten(*line, format!("{today}{was} is built into the kernel"));
            }
        }
    }

    /// A module's own options, commands, above and below.
    fn module(&mut self, name: &str, today: &str, lines: &[LineId]) {
        let other = self.owners.insert(canonical(today), name.to_owned());
        if let Some(other) = other.filter(|other| self.has_actions(other) && self.has_actions(name)) {
            let why = format!("{other} and {name} are both {today} today: write one set of commands for it");
            return self.refuse(lines, &why);
        }
        if !self.is_module(name) {
            self.alias(name, today, lines);
        }
        self.other_names(name, &[name.to_owned()]);
        let words = self.meaning.module_options(name);
        self.options_line(today, name, words, false);
        self.load_commands(name, today);
        self.remove_commands(name, today, &[name.to_owned()]);
    }
}

pub(in crate::new) fn reason(why: &str) -> String {
    if why.starts_with("not in") || why.starts_with("always") {
        why.to_owned()
    } else {
        format!("gone: {why}")
    }
}

/// The files of modprobe.d and modules-load.d.
pub fn files(
    meaning: &Meaning,
    loaded: &[crate::old::discover::Loaded],
    kernel: Option<&Kernel>,
    account: &mut Account,
) -> Vec<OutputFile> {
    let mut writer = Writer::new(meaning, kernel, account);
    writer.all();
    let boot = writer.boot(loaded);
    let out = writer.out;
    let mut files = Vec::new();
    let mut add = |path: &str, heading: &str, lines: Vec<OutputLine>| {
        if !lines.is_empty() {
            files.push(OutputFile::with_origins(path, heading, lines, account));
        }
    };
    let early = [out.commands, out.softdeps].concat();
    let late = [out.aliases, out.module_options, out.alias_options].concat();
    add(
        EARLY,
        "Written by kerneld-migrate: the first line for a name counts, so this file sorts early.",
        early,
    );
    add(
        LATE,
        "Written by kerneld-migrate: the last value of an option counts, so this file sorts late.",
        late,
    );
    add(
        MODULES_LOAD,
        "Written by kerneld-migrate: modules that the old system loaded by name at boot.",
        boot,
    );
    files
}
