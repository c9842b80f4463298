//! What modprobe.d is written with: lines, the names in them, and the account of where each came from.

use kerneld_kmod::underscored;

use std::collections::HashMap;

use crate::account::{Account, Kind, LineId, Question};
use crate::module_index::Kernel;
use crate::names::is_plain;
use crate::names::modules::{self, Today};
use crate::new::commands::Member;
use crate::new::compose;
use crate::new::output::{OutputLine, comment};
use crate::old::modules_conf::{CommandKind, ListKind, Meaning};
use crate::root::Root;

/// The name that `off` requests are sent to: an install line that succeeds and loads nothing.
pub(super) const OFF: &str = "kerneld_migrated_off";

/// A name of the old configuration that ends at a module.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
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

/// Why a module is not there, as the end of a sentence that starts with its name.
pub(super) fn reason(why: &str) -> String {
    if why.starts_with("not in") || why.starts_with("always") {
        why.to_owned()
    } else {
        format!("gone: {why}")
    }
}

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
    pub(in crate::new) meaning: &'a Meaning,
    pub(in crate::new) kernel: Option<&'a Kernel>,
    pub(in crate::new) root: &'a Root,
    pub(in crate::new) account: &'a mut Account,
    pub(in crate::new) out: ModprobeD,
    /// Names taken by an alias or install line (as kmod compares them), and the old name that took them.
    pub(in crate::new) taken: HashMap<String, String>,
    /// Old modules by the module of today that they share.
    pub(in crate::new) owners: HashMap<String, String>,
    /// How many names load an old module under another name (`-o`).
    pub(in crate::new) renamed: HashMap<String, usize>,
    /// The lines that need the helper for `off`.
    pub(in crate::new) off: Vec<LineId>,
}

impl<'a> Writer<'a> {
    pub(in crate::new) fn new(
        root: &'a Root,
        meaning: &'a Meaning,
        kernel: Option<&'a Kernel>,
        account: &'a mut Account,
    ) -> Self {
        Writer {
            meaning,
            kernel,
            root,
            account,
            out: ModprobeD::default(),
            taken: HashMap::new(),
            owners: HashMap::new(),
            renamed: super::words::renamed(meaning),
            off: Vec::new(),
        }
    }

    /// Every line in force that speaks of this name.
    pub(in crate::new) fn lines_of(&self, name: &str) -> Vec<LineId> {
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

    pub(in crate::new) fn refuse(&mut self, lines: &[LineId], question: &Question) {
        for line in lines {
            self.account.ask(*line, question.clone());
        }
    }

    pub(in crate::new) fn refuse_for(&mut self, lines: &[LineId], kind: Kind, why: &str) {
        self.refuse(lines, &Question::new(kind, why));
    }

    pub(in crate::new) fn rewritten(&mut self, lines: &[LineId], why: &str) {
        for line in lines {
            self.account.rewritten(*line, why);
        }
    }

    /// Leaves a line out, and says so in the file.
    pub(in crate::new) fn left_out(&mut self, lines: &[LineId], why: &str) {
        for line in lines {
            let text = comment(&format!("left out: {} ({why})", self.account.line(*line).text.trim()));
            self.out.aliases.push(OutputLine { text, from: vec![*line] });
            self.account.dropped(*line, why);
        }
    }

    /// Whether a line holds a command that runs when a name is loaded, or says what is loaded beside it.
    pub(in crate::new) fn acts(&self, name: &str, line: LineId) -> bool {
        let on_load = [CommandKind::PreInstall, CommandKind::Install, CommandKind::PostInstall];
        let mut commands = on_load.iter().filter_map(|kind| self.meaning.command_of(name, *kind));
        let mut beside = [ListKind::Above, ListKind::Below].into_iter();
        commands.any(|command| command.line == line)
            || beside.any(|kind| self.meaning.members(kind, name).iter().any(|member| member.line == line))
    }

    /// Whether options, commands or lists hang on a name, besides its alias.
    pub(in crate::new) fn says_more(&self, name: &str) -> bool {
        self.has_actions(name) || self.meaning.options.contains_key(name)
    }

    /// Whether commands or above/below hang on a name, so that it has to become an install line.
    pub(in crate::new) fn has_actions(&self, name: &str) -> bool {
        self.meaning.commands.contains_key(name)
            || !self.meaning.members(ListKind::Above, name).is_empty()
            || !self.meaning.members(ListKind::Below, name).is_empty()
    }

    /// Writes an alias unless the target already has that name. Returns whether the alias is there.
    pub(in crate::new) fn alias(&mut self, form: &str, target: &str, from: &[LineId]) -> bool {
        if underscored(form) == underscored(target) {
            return false;
        }
        let form = pattern(form);
        self.out.aliases.push(OutputLine { text: format!("alias {form} {target}"), from: from.to_vec() });
        true
    }

    /// Writes the aliases by which a name leads to a module of today, but none that the kernel has itself.
    pub(in crate::new) fn aliases(&mut self, name: &str, target: &str, from: &[LineId]) {
        for form in self.forms(name, target, from) {
            if self.is_kernels_own(&form, target) {
                let why = format!("the kernel itself answers {form} with {target}");
                from.iter().for_each(|line| self.account.note(*line, why.as_str()));
            } else {
                self.alias(&form, target, from);
            }
        }
    }

    /// The forms in which a name is asked for, without a pattern that would hide other modules' minors. Kernels ask
    /// for the number alone where nothing answers it with its minor, so the number alone is enough.
    pub(in crate::new) fn forms(&mut self, name: &str, target: &str, from: &[LineId]) -> Vec<String> {
        let mut forms = self.meaning.forms(name);
        let hidden = |form: &String| form.ends_with("-*") && self.hides(form, name, target);
        let Some(at) = forms.iter().position(hidden) else { return forms };
        let pattern = forms.remove(at);
        let why = format!("other modules have minors of {name}, so {pattern} is left to them");
        from.iter().for_each(|line| self.account.note(*line, why.as_str()));
        forms
    }

    /// Whether a pattern would hide finer names that lead to other modules.
    fn hides(&self, pattern: &str, name: &str, target: &str) -> bool {
        let others = self.meaning.minors_of(name).map(|minor| self.member(minor));
        let own = others.filter(|member| !matches!(member, Member::Missing(_))).any(|member| match member {
            Member::Name(module) => !self.loads_with(&module, target),
            _ => true,
        });
        let of_kernel = |kernel: &Kernel| {
            kernel.aliases().finer(pattern).iter().any(|module| !kernel.loads_with(module, target))
        };
        own || self.kernel.is_some_and(of_kernel)
    }

    fn loads_with(&self, a: &str, b: &str) -> bool {
        underscored(a) == underscored(b) || self.kernel.is_some_and(|kernel| kernel.loads_with(a, b))
    }

    /// The module to which the kernel leads every minor of a device by itself, where the old file leads some of them
    /// elsewhere and the rest to `target`: then the number alone is never asked for, and a pattern would load both.
    pub(in crate::new) fn contended(&self, name: &str, target: &str) -> Option<String> {
        let pattern = format!("{name}-*");
        let others = self.kernel?.aliases().of_pattern(&pattern);
        let other = others.iter().find(|module| !self.loads_with(module, target))?;
        let is_form = self.meaning.forms(name).contains(&pattern);
        (is_form && self.hides(&pattern, name, target)).then(|| other.clone())
    }

    /// Whether the kernel has an alias itself, and for this module alone.
    fn is_kernels_own(&self, form: &str, target: &str) -> bool {
        self.kernel.is_some_and(|kernel| {
            let answer = kernels_answer(kernel, form);
            let is_target = |module: &&str| underscored(module) == underscored(target);
            answer.iter().any(is_target) && answer.iter().all(|module| kernel.loads_with(target, module))
        })
    }

    pub(in crate::new) fn is_module(&self, name: &str) -> bool {
        match self.kernel {
            Some(kernel) => kernel.has_module(name) || kernel.is_builtin(name),
            None => is_todays_name(name),
        }
    }

    /// The name under which an install line for `name` can stand: itself, unless a module has that name.
    pub(in crate::new) fn virtual_name(&self, name: &str) -> String {
        if self.is_module(name) || !is_plain(name) {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            format!("kerneld_migrated_{}", name.chars().map(plain).collect::<String>())
        } else {
            name.to_owned()
        }
    }

    pub(in crate::new) fn install(&mut self, name: &str, body: &str, from: &[LineId]) {
        let text = format!("install {name} {}", compose::written(body));
        self.out.commands.push(OutputLine { text, from: from.to_vec() });
    }
}

/// A modutils name as a kmod pattern: modutils knew no wildcards, so `*` and `?` within a name stand for
/// themselves. Our own forms end in `-*`.
pub(in crate::new) fn pattern(name: &str) -> String {
    let (body, wild) = match name.strip_suffix("-*") {
        Some(body) => (body, "-*"),
        None => (name, ""),
    };
    format!("{}{wild}", body.replace('*', "[*]").replace('?', "[?]"))
}

/// Whether the table of modules knows the name as one of today's.
fn is_todays_name(name: &str) -> bool {
    match modules::today(name, None) {
        Today::Module { name: today, .. } | Today::Builtin { name: today } => {
            underscored(&today) == underscored(name)
        }
        _ => false,
    }
}

/// The modules with which the kernel itself answers a request, or those of a pattern as it is written.
fn kernels_answer<'a>(kernel: &'a Kernel, form: &str) -> Vec<&'a str> {
    match form.ends_with('*') {
        true => kernel.aliases().of_pattern(form).iter().map(String::as_str).collect(),
        false => kernel.aliases().answer(form),
    }
}
