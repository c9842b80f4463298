//! install and remove lines: what runs around a load, and names that only such a line has.

use kerneld_kmod::underscored;

use super::lines::{OFF, Subject, Writer, reason};
use super::words::{self, Owner};
use crate::account::{Kind, LineId, Question};
use crate::names::modules::{self, Today};
use crate::names::{is_plain, requests};
use crate::new::commands::{self, MODPROBE, Member, Names};
use crate::new::compose::{self, chain, part};
use crate::new::output::OutputLine;
use crate::old::modules_conf::meaning::Command;
use crate::old::modules_conf::{CommandKind, End, Given};
use crate::old::shell;

impl Writer<'_> {
    /// An alias with commands of its own: an install line that loads the module unless it is there.
    pub(in crate::new) fn virtual_alias(&mut self, subject: &Subject, today: &str) {
        let Subject { name, module, chain, lines, .. } = *subject;
        self.note_missing(chain);
        let mut from = subject.from.to_vec();
        from.extend(chain.iter().flat_map(|name| self.lines_of(name)));
        from.sort_unstable();
        from.dedup();
        let body = match self.parameters((module, today), chain).and_then(|parameters| {
            let load = format!("{MODPROBE} {today}{parameters}");
            self.around(chain, (today, load), None)
        }) {
            Ok(body) => body,
            Err((line, question)) => {
                let place = self.account.line(line).place();
                let why = format!("it hangs on a line that needs a person, {place}");
                self.refuse_for(lines, Kind::Depends, &why);
                return self.account.ask(line, question);
            }
        };
        let base = self.virtual_name(name);
        self.install(&base, &format!("[ -d /sys/module/{} ] || {{ {body}; }}", underscored(today)), &from);
        for form in self.forms(name, today, &from) {
            self.alias(&form, &base, &from);
        }
        self.remove_commands(&base, today, chain);
    }

    /// The options of aliases as words of a shell command.
    fn parameters(&mut self, modules: (&str, &str), chain: &[String]) -> Result<String, (LineId, Question)> {
        let own = self.todays_words(modules, self.meaning.alias_options(chain), true);
        let mut parameters = String::new();
        for word in own {
            words::written(&word.text).map_err(|why| (word.line, why))?;
            parameters.push(' ');
            parameters.push_str(&shell::quote(&word.text));
        }
        Ok(parameters)
    }

    /// Everything around a load, in modutils' order: what lies below, pre-install, install or the load, and
    /// post-install, what lies above. Above and below do not count for success.
    pub(in crate::new) fn around(
        &mut self,
        names: &[String],
        (module, load): (&str, String),
        owner: Option<&str>,
    ) -> Result<String, (LineId, Question)> {
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
                    let text = self.command(command, owner).map_err(|why| (command.line, why))?;
                    parts.push(self.guarded(kind, module, &text).map_err(|why| (command.line, why))?);
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

    fn command(&mut self, command: &Command, owner: Option<&str>) -> Result<String, Question> {
        for rest in command.text.split('$').skip(1) {
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            if self.meaning.defined.contains_key(name) {
                let why = format!("the command uses ${name}, which `define` set, and kmod has no variables");
                return Err(Question::new(Kind::Command, why));
            }
        }
        let rewritten = commands::rewrite(&command.text, owner, &*self)?;
        for remark in rewritten.remarks {
            self.account.note(command.line, remark);
        }
        Ok(rewritten.text)
    }

    /// `remove` for a name: pre-remove, remove or the removal itself, post-remove.
    pub(in crate::new) fn remove_commands(&mut self, name: &str, today: &str, chain_names: &[String]) {
        let own = underscored(name) == underscored(today);
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
                match self.command(command, None) {
                    Ok(text) if text == ":" => {
                        self.account.dropped(command.line, "it removes what cannot be loaded any more");
                        continue;
                    }
                    Ok(text) => parts.push((kind, part(&text))),
                    Err(question) => return self.account.ask(command.line, question),
                }
                lines.push(command.line);
            }
        }
        if !lines.is_empty() {
            let body = chain(parts.into_iter().map(|(_, text)| text));
            let text = format!("remove {name} {}", compose::written(&body));
            self.rewritten(&lines, "");
            self.out.commands.push(OutputLine { text, from: lines });
        }
    }

    /// A name that is `off`: its requests succeed and load nothing.
    pub(in crate::new) fn off(&mut self, name: &str, lines: &[LineId], from: &[LineId]) {
        let forms = self.meaning.forms(name);
        if let Some(module) = self.built_in_answer(&forms) {
            return self.off_of_built_in(name, &module, lines);
        }
        for form in forms {
            if form.ends_with("-*") || self.virtual_name(&form) != form {
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

    /// What a module name in a list or command stands for today.
    pub(in crate::new) fn member(&self, name: &str) -> Member {
        let resolved = self.meaning.resolve(name);
        match &resolved.end {
            End::Off => Member::Off,
            End::Loop => Member::Missing("its aliases lead back to themselves".to_owned()),
            End::List(kind, list) if !self.has_member(*kind, list) => {
                Member::Missing(format!("none of the modules of {list} can be loaded today"))
            }
            End::List(_, list) => Member::Name(self.virtual_name(list)),
            End::Module(module) => match modules::today_for(name, module, self.kernel) {
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
                Today::External { why } => Member::Missing(format!("{module} is not of the kernel: {why}")),
                Today::Unknown if !is_plain(module) => {
                    Member::Missing("that cannot be the name of a module".to_owned())
                }
                Today::Unknown if self.kernel.is_some() => {
                    Member::Missing(format!("{module} is not in the kernel at hand"))
                }
                Today::Unknown => Member::Name(module.clone()),
            },
        }
    }
}

impl Names for Writer<'_> {
    fn member(&self, name: &str) -> Member {
        Writer::member(self, name)
    }

    fn parameter(&self, module: &str, word: &str) -> Result<String, String> {
        let old = match self.meaning.resolve(module).end {
            End::Module(old) => old,
            _ => return Ok(word.to_owned()),
        };
        let (Today::Module { name: today, .. } | Today::Builtin { name: today }) =
            modules::today_for(module, &old, self.kernel)
        else {
            return Ok(word.to_owned());
        };
        let owner = Owner { old: &old, today: &today, kernel: self.kernel };
        let words = words::today(owner, vec![Given { text: word.to_owned(), line: 0 }]);
        let moved = |(module, word): &(&str, Given)| format!("`{}` belongs to {module} today", word.text);
        match (words.own.into_iter().next(), words.gone.into_iter().next()) {
            (Some(own), _) => Ok(own.text),
            (None, Some((_, why))) => Err(why),
            (None, None) => Err(words
                .moved
                .first()
                .map(moved)
                .or(words.refused.first().map(|(_, question)| question.why.clone()))
                .unwrap_or_default()),
        }
    }
}
