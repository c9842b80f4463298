//! probe, probeall, above and below for kmod.

use kerneld_kmod::underscored;

use std::collections::HashSet;

use super::lines::Writer;
use crate::account::{Kind, LineId, Question};
use crate::names::requests;
use crate::new::commands::{MODPROBE, Member};
use crate::new::output::OutputLine;
use crate::old::modules_conf::{End, ListKind, Meaning};

/// The members of a `probe` or `probeall`.
#[derive(Default)]
struct Tried {
    /// Names to load.
    names: Vec<String>,
    /// Whether one of them was `off`, which counts as loaded.
    off: bool,
}

impl Writer<'_> {
    /// `probe` and `probeall`: an install line that tries the members.
    pub(in crate::new) fn probe(&mut self, kind: ListKind, name: &str, lines: &[LineId]) {
        let Tried { names, off } = self.tried(kind, name);
        if names.is_empty() && !off {
            return self.left_out(lines, &format!("none of the modules of {name} can be loaded today"));
        }
        let members = self.meaning.members(kind, name);
        let from = dedup(members.iter().map(|member| member.line).collect());
        let base = self.virtual_name(name);
        let body = if kind == ListKind::Probe { probe(&names, off) } else { probeall(&names, off) };
        self.install(&base, &body, &from);
        for form in self.forms(name, &base, &from) {
            self.alias(&form, &base, &from);
        }
        self.rewritten(&from, &requests::today(name).note);
        for line in lines.iter().filter(|line| from.binary_search(line).is_err()) {
            let why = format!("not in force: {} {name} comes before it", kind.keyword());
            self.account.dropped(*line, why);
        }
    }

    /// The members of a list that are tried, each once.
    fn tried(&mut self, kind: ListKind, name: &str) -> Tried {
        let mut tried = Tried::default();
        for member in self.meaning.members(kind, name) {
            match self.member(&member.text) {
                Member::Name(today) if tried.names.contains(&today) => {}
                Member::Name(today) => tried.names.push(today),
                Member::Off => tried.off = true,
                Member::Missing(why) => {
                    self.account.note(member.line, format!("without {}: {why}", member.text));
                }
            }
            // what follows `off` in a probe is never tried: off counts as loaded
            if tried.off && kind == ListKind::Probe {
                break;
            }
        }
        tried
    }

    /// Whether a list has anything that can be loaded today, or that succeeds without a module.
    pub(in crate::new) fn has_member(&self, kind: ListKind, list: &str) -> bool {
        self.meaning.members(kind, list).iter().any(|member| match self.meaning.resolve(&member.text).end {
            End::Module(_) => matches!(self.member(&member.text), Member::Name(_)),
            End::Off | End::List(..) => true,
            End::Loop => false,
        })
    }

    /// A module's own lines when it is loaded: a softdep where there are no commands, else an install line.
    pub(in crate::new) fn load_commands(&mut self, name: &str, today: &str) {
        let meaning = self.meaning;
        let names = [name.to_owned()];
        let commands: Vec<LineId> = install_lines(meaning, name);
        let lists: Vec<LineId> = [ListKind::Above, ListKind::Below]
            .iter()
            .flat_map(|kind| meaning.members(*kind, name).iter().map(|member| member.line))
            .collect();
        if commands.is_empty() {
            if !lists.is_empty() {
                self.softdep(name, today, &dedup(lists));
            }
            return;
        }
        self.note_missing(&names);
        let mut from = commands;
        from.extend(lists);
        from = dedup(from);
        if let Some(own) = self.kernel.and_then(|kernel| kernel.softdep(today)) {
            let why = format!(
                "the kernel has `softdep {today} {own}`, and kmod then never looks at install lines for {today}"
            );
            return self.refuse_for(&from, Kind::Clash, &why);
        }
        let load = format!("{MODPROBE} --ignore-install {today} $CMDLINE_OPTS");
        match self.around(&names, (today, load), Some(today)) {
            Ok(body) => self.install(today, &body, &from),
            Err((line, question)) => {
                let place = self.account.line(line).place();
                self.account.ask(line, question);
                let others: Vec<LineId> = from.into_iter().filter(|other| *other != line).collect();
                let why = format!("it goes into one line with {place}, which needs a person");
                self.refuse_for(&others, Kind::Depends, &why);
            }
        }
    }

    fn softdep(&mut self, name: &str, today: &str, from: &[LineId]) {
        let names = [name.to_owned()];
        self.note_missing(&names);
        let (below, above) = match self.beside(&names) {
            Ok(lists) => lists,
            Err((line, question)) => return self.account.ask(line, question),
        };
        let own = self.kernel.and_then(|kernel| kernel.softdep(today)).unwrap_or_default();
        let (mut pre, mut post) = own_softdep(own);
        pre.extend(below);
        post.extend(above);
        if pre.is_empty() && post.is_empty() {
            return self.left_out(from, &format!("none of the modules beside {name} can be loaded today"));
        }
        let mut text = format!("softdep {today}");
        for (word, names) in [("pre:", pre), ("post:", post)] {
            if !names.is_empty() {
                text.push_str(&format!(" {word} {}", names.join(" ")));
            }
        }
        self.out.softdeps.push(OutputLine { text, from: from.to_vec() });
    }

    /// Says which modules below and above some names cannot be loaded any more.
    pub(in crate::new) fn note_missing(&mut self, names: &[String]) {
        let meaning = self.meaning;
        for kind in [ListKind::Below, ListKind::Above] {
            for member in names.iter().flat_map(|name| meaning.members(kind, name)) {
                if let Member::Missing(why) = self.member(&member.text) {
                    self.account.note(member.line, format!("without {}: {why}", member.text));
                }
            }
        }
    }

    /// The modules below and above some names, as they are called today.
    #[allow(clippy::type_complexity)]
    pub(in crate::new) fn beside(
        &self,
        names: &[String],
    ) -> Result<(Vec<String>, Vec<String>), (LineId, Question)> {
        let list = |kind: ListKind| {
            let mut found = Vec::new();
            let mut seen = HashSet::new();
            for member in names.iter().flat_map(|name| self.meaning.members(kind, name)) {
                match self.member(&member.text) {
                    Member::Name(today) => {
                        if seen.insert(today.clone()) {
                            found.push(today);
                        }
                    }
                    Member::Off => {
                        let why =
                            format!("{} is off, and that made modutils drop the whole request", member.text);
                        return Err((member.line, Question::new(Kind::Clash, why)));
                    }
                    // modutils would refuse the request; the module is gone, the wish to load the other is not
                    Member::Missing(_) => {}
                }
            }
            Ok(found)
        };
        Ok((list(ListKind::Below)?, list(ListKind::Above)?))
    }
}

/// The lines with commands that run when a name is loaded.
fn install_lines(meaning: &Meaning, name: &str) -> Vec<LineId> {
    use crate::old::modules_conf::CommandKind::{Install, PostInstall, PreInstall};
    [PreInstall, Install, PostInstall]
        .iter()
        .filter_map(|kind| meaning.command_of(name, *kind).map(|command| command.line))
        .collect()
}

fn probe(names: &[String], off: bool) -> String {
    let mut tries: Vec<String> = names.iter().map(|name| format!("{MODPROBE} {name}")).collect();
    tries.extend(off.then(|| "/bin/true".to_owned()));
    tries.join(" || ")
}

fn probeall(names: &[String], off: bool) -> String {
    let start = if off { 0 } else { 1 };
    match names {
        [] => "/bin/true".to_owned(),
        names => format!("r={start}; for m in {}; do {MODPROBE} $m && r=0; done; exit $r", names.join(" ")),
    }
}

/// The `pre:` and `post:` names of a softdep line.
fn own_softdep(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    let mut current: Option<&mut Vec<String>> = None;
    for word in text.split_whitespace() {
        match word {
            "pre:" => current = Some(&mut pre),
            "post:" => current = Some(&mut post),
            name => {
                if let Some(list) = current
                    .as_mut()
                    .filter(|list| !list.iter().any(|old| underscored(old) == underscored(name)))
                {
                    list.push(name.to_owned());
                }
            }
        }
    }
    (pre, post)
}

fn dedup(mut lines: Vec<LineId>) -> Vec<LineId> {
    lines.sort_unstable();
    lines.dedup();
    lines
}
