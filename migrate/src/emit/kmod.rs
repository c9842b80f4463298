//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

use std::collections::HashMap;

use super::commands::{self, MODPROBE, Member, chain, part};
use super::daemon::MODULES_LOAD;
use super::{EARLY, LATE, OutputFile, OutputLine, comment, options};
use crate::account::{Account, LineId};
use crate::kernel::Kernel;
use crate::modules_conf::{CommandKind, End, Given, ListKind, Meaning, Resolved};
use crate::names::modules::{self, Today};
use crate::names::{canonical, requests};

/// The name that `off` requests are sent to: an install line that succeeds and loads nothing.
pub const OFF: &str = "kerneld_migrated_off";

/// What goes into modprobe.d.
#[derive(Debug, Default)]
pub struct ModprobeD {
    /// install and remove lines.
    pub commands: Vec<OutputLine>,
    /// softdep lines.
    pub softdeps: Vec<OutputLine>,
    /// alias lines, and comments for what is gone.
    pub aliases: Vec<OutputLine>,
    /// options lines of modules.
    pub module_options: Vec<OutputLine>,
    /// options lines of aliases: after those of modules, as they count more.
    pub alias_options: Vec<OutputLine>,
}

/// Writes a meaning as modprobe.d.
pub struct Writer<'a> {
    pub(super) meaning: &'a Meaning,
    pub(super) kernel: Option<&'a Kernel>,
    pub(super) account: &'a mut Account,
    pub(super) out: ModprobeD,
    /// Names taken by an alias or install line (as kmod compares them), and the old name that took them.
    taken: HashMap<String, String>,
    /// Old modules by the module of today that they share.
    owners: HashMap<String, String>,
    /// How many names load an old module under another name (`-o`).
    renamed: HashMap<String, usize>,
    /// The lines that need the helper for `off`.
    off: Vec<LineId>,
}

impl<'a> Writer<'a> {
    fn new(meaning: &'a Meaning, kernel: Option<&'a Kernel>, account: &'a mut Account) -> Self {
        Writer {
            meaning,
            kernel,
            account,
            out: ModprobeD::default(),
            taken: HashMap::new(),
            owners: HashMap::new(),
            renamed: renamed(meaning),
            off: Vec::new(),
        }
    }

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

    /// Every line in force that speaks of this name.
    pub(super) fn lines_of(&self, name: &str) -> Vec<LineId> {
        let meaning = self.meaning;
        let mut lines: Vec<LineId> = meaning.aliases.get(name).map(|alias| alias.line).into_iter().collect();
        lines.extend(meaning.options.get(name).into_iter().flat_map(|options| options.lines.iter().copied()));
        for kind in [ListKind::Above, ListKind::Below, ListKind::Probe, ListKind::Probeall] {
            lines.extend(meaning.members(kind, name).iter().map(|member| member.line));
        }
        lines.extend(
            meaning.commands.get(name).into_iter().flat_map(|commands| commands.values().map(|c| c.line)),
        );
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    pub(super) fn refuse(&mut self, lines: &[LineId], why: &str) {
        for line in lines {
            self.account.needs_attention(*line, why);
        }
    }

    pub(super) fn rewritten(&mut self, lines: &[LineId], why: &str) {
        for line in lines {
            self.account.rewritten(*line, why);
        }
    }

    /// Leaves a line out, and says so in the file.
    pub(super) fn left_out(&mut self, lines: &[LineId], why: &str) {
        for line in lines {
            let text = comment(&format!("left out: {} ({why})", self.account.line(*line).text.trim()));
            self.out.aliases.push(OutputLine { text, from: vec![*line] });
            self.account.dropped(*line, why);
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
            return Err(format!("kmod cannot be given the name {}", crate::text::for_display(name)));
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
        match &resolved.end {
            End::Loop => self.refuse(
                lines,
                &format!("the aliases of {name} lead back to themselves: modutils gave up here"),
            ),
            End::Off => self.off(name, lines, &from),
            End::List(kind, list) if list == name => self.probe(*kind, name, lines),
            End::List(_, list) => {
                let base = self.virtual_name(list);
                for form in requests::today(name).all(name) {
                    self.alias(&form, &base, &from);
                }
                self.rewritten(lines, &note);
            }
            End::Module(module) => self.module_or_alias(name, module, &resolved, lines, &from),
        }
    }

    fn module_or_alias(
        &mut self,
        name: &str,
        module: &str,
        resolved: &Resolved,
        lines: &[LineId],
        from: &[LineId],
    ) {
        let is_alias = !resolved.chain.is_empty();
        let virtual_alias = is_alias && resolved.chain.iter().any(|name| self.has_actions(name));
        match self.today_for(name, module) {
            Today::Gone { why } | Today::Absent { why, .. } => {
                self.left_out(lines, &format!("{module} is {}", reason(&why)))
            }
            Today::Unknown if self.kernel.is_some() => {
                let release = &self.kernel.expect("is some").release;
                let why = format!(
                    "{module} is no module of the kernel {release}, and nothing is known of it: is it built elsewhere?"
                );
                self.refuse(lines, &why);
            }
            Today::Unknown => {
                self.rewritten(
                    lines,
                    &format!(
                        "{module} is not in the table of known modules; state a kernel to have it checked"
                    ),
                );
                self.live(name, module, module, (virtual_alias, is_alias), resolved, (lines, from));
            }
            Today::Builtin { name: today } => self.builtin(name, module, &today, resolved, lines, from),
            Today::Module { name: today, note } => {
                self.rewritten(lines, &note);
                self.live(name, module, &today, (virtual_alias, is_alias), resolved, (lines, from));
            }
        }
    }

    fn live(
        &mut self,
        name: &str,
        module: &str,
        today: &str,
        (virtual_alias, is_alias): (bool, bool),
        resolved: &Resolved,
        (lines, from): (&[LineId], &[LineId]),
    ) {
        let request = requests::today(name);
        if virtual_alias {
            self.virtual_alias(name, module, today, resolved, lines, from);
        } else if is_alias {
            let words = self.meaning.alias_options(&resolved.chain);
            for form in request.all(name) {
                if self.alias(&form, today, from) {
                    self.options_line(&form, module, words.clone(), true);
                }
            }
        } else {
            self.module(name, today, lines);
        }
        if is_alias {
            self.rewritten(lines, &request.note);
            self.other_names(module, resolved);
        }
    }

    /// Whether commands or above/below hang on a name, so that it has to become an install line.
    fn has_actions(&self, name: &str) -> bool {
        self.meaning.commands.contains_key(name)
            || !self.meaning.members(ListKind::Above, name).is_empty()
            || !self.meaning.members(ListKind::Below, name).is_empty()
    }

    /// What serves an old module today, for a request of this name.
    fn today_for(&self, request: &str, module: &str) -> Today {
        // 2.2's ppp is ppp_generic today, and its line discipline ppp_async
        let module = if request == "tty-ldisc-3" && module == "ppp" { "ppp_async" } else { module };
        modules::today(module, self.kernel)
    }

    /// Writes an alias unless the target already has that name. Returns whether the alias is there.
    pub(super) fn alias(&mut self, form: &str, target: &str, from: &[LineId]) -> bool {
        if canonical(form) == canonical(target) {
            return false;
        }
        let form = pattern(form);
        self.out.aliases.push(OutputLine { text: format!("alias {form} {target}"), from: from.to_vec() });
        true
    }

    pub(super) fn is_module(&self, name: &str) -> bool {
        match self.kernel {
            Some(kernel) => kernel.has_module(name) || kernel.is_builtin(name),
            None => {
                matches!(modules::today(name, None), Today::Module { name: today, .. } | Today::Builtin { name: today }
                if canonical(&today) == canonical(name))
            }
        }
    }

    /// The name under which an install line for `name` can stand: itself, unless a module has that name.
    pub(super) fn virtual_name(&self, name: &str) -> String {
        if self.is_module(name) { format!("kerneld_migrated_{}", canonical(name)) } else { name.to_owned() }
    }

    pub(super) fn install(&mut self, name: &str, body: &str, from: &[LineId]) {
        let text = format!("install {name} {}", commands::written(body));
        self.out.commands.push(OutputLine { text, from: from.to_vec() });
    }

    fn off(&mut self, name: &str, lines: &[LineId], from: &[LineId]) {
        for form in requests::today(name).all(name) {
            if form.ends_with("-*") || self.is_module(&form) {
                self.alias(&form, OFF, from);
                self.off.extend_from_slice(from);
            } else {
                // success for a file system that then is not there makes today's kernels complain
                let status = if form.starts_with("fs-") { "/bin/false" } else { "/bin/true" };
                self.install(&form, status, from);
            }
        }
        let alias = self.meaning.aliases.get(name).map(|alias| alias.line);
        for line in lines {
            if Some(*line) == alias {
                self.account.rewritten(*line, "the request ends without loading anything");
            } else {
                self.account.dropped(*line, format!("{name} is off: modutils never came to this line"));
            }
        }
        self.rewritten(&alias.into_iter().collect::<Vec<_>>(), &requests::today(name).note);
    }

    /// Options and commands of a module that the kernel at hand has built in.
    fn builtin(
        &mut self,
        name: &str,
        module: &str,
        today: &str,
        resolved: &Resolved,
        lines: &[LineId],
        from: &[LineId],
    ) {
        let actions = self.has_actions(name) || resolved.chain.iter().any(|name| self.has_actions(name));
        if !resolved.chain.is_empty() && !actions {
            for form in requests::today(name).all(name) {
                self.alias(&form, today, from);
            }
        }
        let options: Vec<LineId> =
            self.meaning.options.get(name).map(|o| o.lines.clone()).unwrap_or_default();
        for line in lines {
            if options.contains(line) {
                let words = self.meaning.options[name].words.iter().filter(|word| word.line == *line);
                let given: Vec<_> = words.map(|word| format!("{}.{}", canonical(today), word.text)).collect();
                let why = format!(
                    "{today} is built into the kernel: its command line takes this, as {}",
                    given.join(" ")
                );
                self.left_out(&[*line], &why);
            } else if actions {
                let why = format!(
                    "{today} is built into the kernel and never loaded: run this from a start-up script"
                );
                self.account.needs_attention(*line, why);
            } else {
                let renamed = canonical(module) != canonical(today);
                let was = if renamed { format!(" ({module} then)") } else { String::new() };
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
        let words = self.meaning.module_options(name);
        self.options_line(today, name, words, false);
        self.load_commands(name, today);
        self.remove_commands(name, today, &[name.to_owned()]);
        self.other_names(name, &Resolved { chain: vec![name.to_owned()], end: End::Loop, lines: Vec::new() });
    }

    /// One `options` line, and one for each module that words moved to.
    fn options_line(&mut self, key: &str, module: &str, words: Vec<Given>, of_alias: bool) {
        let words = options::today(module, words);
        for (word, why) in words.gone {
            self.account.dropped(word.line, why);
        }
        for (module, word) in words.moved {
            self.account.note(word.line, format!("`{}` belongs to {module} today", word.text));
            self.options_words(module, vec![word], of_alias);
        }
        self.options_words(&pattern(key), words.own, of_alias);
    }

    fn options_words(&mut self, key: &str, words: Vec<Given>, of_alias: bool) {
        let mut text = format!("options {key}");
        let mut from = Vec::new();
        for word in words {
            match options::written(&word.text) {
                Ok(written) => {
                    text.push(' ');
                    text.push_str(&written);
                    from.push(word.line);
                }
                Err(why) => self.account.needs_attention(word.line, why),
            }
        }
        from.dedup();
        if !from.is_empty() {
            let lines = if of_alias { &mut self.out.alias_options } else { &mut self.out.module_options };
            lines.push(OutputLine { text, from });
        }
    }

    /// `-o NAME` loaded a module a second time under another name; no kernel of today can.
    fn other_names(&mut self, module: &str, resolved: &Resolved) {
        let Some(other) =
            resolved.chain.iter().find_map(|name| self.meaning.options.get(name)?.other_name.clone())
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

    /// An alias with commands of its own: an install line that loads the module unless it is there.
    fn virtual_alias(
        &mut self,
        name: &str,
        module: &str,
        today: &str,
        resolved: &Resolved,
        lines: &[LineId],
        from: &[LineId],
    ) {
        let mut from = from.to_vec();
        for name in &resolved.chain {
            from.extend(self.lines_of(name));
        }
        from.sort_unstable();
        from.dedup();
        let words = options::today(module, self.meaning.alias_options(&resolved.chain));
        for (word, why) in &words.gone {
            self.account.note(word.line, why.clone());
        }
        let parameters: String =
            words.own.iter().map(|word| format!(" {}", super::shell::quote(&word.text))).collect();
        let load = format!("{MODPROBE} {today}{parameters}");
        let body = match self.around(&resolved.chain, load, None) {
            Ok(body) => body,
            Err((line, why)) => {
                self.refuse(
                    lines,
                    &format!("it hangs on a line that needs a person, {}", self.account.line(line).place()),
                );
                return self.account.needs_attention(line, why);
            }
        };
        let base = self.virtual_name(name);
        self.install(&base, &format!("[ -d /sys/module/{} ] || {{ {body}; }}", canonical(today)), &from);
        self.rewritten(lines, "");
        for form in requests::today(name).all(name) {
            self.alias(&form, &base, &from);
        }
        self.remove_commands(&base, today, &resolved.chain);
    }

    /// Everything around a load, in modutils' order: what lies below, pre-install, install or the load, and
    /// post-install, what lies above. Above and below do not count for success.
    pub(super) fn around(
        &self,
        names: &[String],
        load: String,
        owner: Option<&str>,
    ) -> Result<String, (LineId, String)> {
        let mut pre = Vec::new();
        let mut instead = Vec::new();
        let mut post = Vec::new();
        for name in names {
            for (kind, parts) in [
                (CommandKind::PreInstall, &mut pre),
                (CommandKind::Install, &mut instead),
                (CommandKind::PostInstall, &mut post),
            ] {
                if let Some(command) = self.meaning.command_of(name, kind) {
                    parts.push(part(&self.command(&command.text, owner).map_err(|why| (command.line, why))?));
                }
            }
        }
        if instead.is_empty() {
            instead.push(load);
        }
        let (below, above) = self.beside(names)?;
        let mut body = chain(pre.into_iter().chain(instead).chain(post));
        for name in above {
            body = format!("{body} && {{ {MODPROBE} -q {name}; true; }}");
        }
        let below: String = below.iter().map(|name| format!("{MODPROBE} -q {name}; ")).collect();
        Ok(format!("{below}{body}"))
    }

    pub(super) fn command(&self, text: &str, owner: Option<&str>) -> Result<String, String> {
        if let Some(name) = self.meaning.defined.keys().find(|name| text.contains(&format!("${name}"))) {
            return Err(format!("the command uses ${name}, which `define` set, and kmod has no variables"));
        }
        commands::rewrite(text, owner, &|name| self.member(name))
    }

    /// `remove` for a name: pre-remove, remove or the removal itself, post-remove.
    fn remove_commands(&mut self, name: &str, today: &str, chain_names: &[String]) {
        let own = canonical(name) == canonical(today);
        let unload = if own {
            format!("{MODPROBE} -r --ignore-remove {today}")
        } else {
            format!("{MODPROBE} -r {today}")
        };
        let mut parts = Vec::new();
        let mut lines = Vec::new();
        for kind in [CommandKind::PreRemove, CommandKind::Remove, CommandKind::PostRemove] {
            if kind == CommandKind::PostRemove && !parts.iter().any(|(k, _)| *k == CommandKind::Remove) {
                parts.push((CommandKind::Remove, unload.clone()));
            }
            for name in chain_names {
                let Some(command) = self.meaning.command_of(name, kind) else { continue };
                match self.command(&command.text, None) {
                    Ok(text) => parts.push((kind, part(&text))),
                    Err(why) => return self.account.needs_attention(command.line, why),
                }
                lines.push(command.line);
            }
        }
        if !lines.is_empty() {
            let body = chain(parts.into_iter().map(|(_, text)| text));
            let text = format!("remove {name} {}", commands::written(&body));
            self.rewritten(&lines, "");
            self.out.commands.push(OutputLine { text, from: lines });
        }
    }

    /// What a module name in a list or command stands for today.
    pub(super) fn member(&self, name: &str) -> Member {
        let resolved = self.meaning.resolve(name);
        match &resolved.end {
            End::Off => Member::Off,
            End::Loop => Member::Missing("its aliases lead back to themselves".to_owned()),
            End::List(_, list) => Member::Name(self.virtual_name(list)),
            End::Module(module) => match self.today_for(name, module) {
                Today::Module { name: today, .. } | Today::Builtin { name: today } => {
                    let plain = resolved
                        .chain
                        .iter()
                        .all(|name| !self.has_actions(name) && !self.meaning.options.contains_key(name));
                    Member::Name(if plain { today } else { self.virtual_name(name) })
                }
                Today::Gone { why } | Today::Absent { why, .. } => {
                    Member::Missing(format!("{module} is {}", reason(&why)))
                }
                Today::Unknown if self.kernel.is_some() => {
                    Member::Missing(format!("{module} is not in the kernel at hand"))
                }
                Today::Unknown => Member::Name(module.clone()),
            },
        }
    }
}

/// How many names load each old module under another name.
fn renamed(meaning: &Meaning) -> HashMap<String, usize> {
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

fn reason(why: &str) -> String {
    if why.starts_with("not in") { why.to_owned() } else { format!("gone: {why}") }
}

/// A modutils name as a kmod pattern: modutils knew no wildcards, so `*` and `?` within a name stand for
/// themselves. Our own forms end in `-*`.
fn pattern(name: &str) -> String {
    let (body, wild) = match name.strip_suffix("-*") {
        Some(body) => (body, "-*"),
        None => (name, ""),
    };
    format!("{}{wild}", body.replace('*', "[*]").replace('?', "[?]"))
}

/// The files of modprobe.d and modules-load.d.
pub fn files(
    meaning: &Meaning,
    loaded: &[crate::discover::Loaded],
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
