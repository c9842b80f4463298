//! Lines of the target's own modprobe.d that would change what our lines do.

use std::collections::HashMap;

use glob::Pattern;
use kerneld_kmod::underscored;

use super::lines::ModprobeD;
use crate::account::{Account, Kind, LineId};
use crate::new::output::OutputLine;
use crate::site::{Site, SiteLine};

/// The target's lines, by what they speak of.
struct Others<'a> {
    by_name: HashMap<String, Vec<&'a SiteLine>>,
    patterns: Vec<(Pattern, &'a SiteLine)>,
}

impl<'a> Others<'a> {
    fn of(site: &'a Site) -> Others<'a> {
        let mut others = Others { by_name: HashMap::new(), patterns: Vec::new() };
        for line in site.lines() {
            let Some(name) = line.words().get(1).map(|name| underscored(name)) else { continue };
            if line.text.starts_with("alias ") && name.contains(['*', '?', '[']) {
                others.patterns.extend(Pattern::new(&name).ok().map(|pattern| (pattern, line)));
            }
            others.by_name.entry(name).or_default().push(line);
        }
        others
    }

    /// The target's lines of one kind for a name.
    fn of_kind<'s>(&'s self, kind: &'s str, name: &str) -> impl Iterator<Item = &'a SiteLine> + 's {
        let name = underscored(name);
        let named = self.by_name.get(&name).into_iter().flatten().copied();
        let matching =
            self.patterns.iter().filter(move |(pattern, _)| kind == "alias" && pattern.matches(&name));
        named.chain(matching.map(|(_, line)| *line)).filter(move |line| line.words()[0] == kind)
    }

    /// The target's line that stands in the way of one of ours.
    fn against(&self, text: &str) -> Option<&'a SiteLine> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["alias", name, target, ..] => {
                let is_other = |line: &&SiteLine| {
                    line.words().get(2).is_none_or(|other| underscored(other) != underscored(target))
                };
                let mut aliases = self.of_kind("alias", name).filter(is_other);
                aliases.next().or_else(|| self.on_the_way(target)).or(self.of_kind("install", name).next())
            }
            ["options", name, ref given @ ..] => {
                let mut options = self.of_kind("options", name);
                options.find(|line| differs(given, &line.words()[2..])).or_else(|| self.on_the_way(name))
            }
            ["install", name, ..] => ["alias", "install", "softdep", "blacklist"]
                .into_iter()
                .find_map(|kind| self.of_kind(kind, name).find(|line| body(&line.text) != body(text))),
            ["softdep", name, ..] => ["softdep", "install"]
                .into_iter()
                .find_map(|kind| self.of_kind(kind, name).find(|line| body(&line.text) != body(text))),
            ["remove", name, ..] => self.of_kind("remove", name).find(|line| body(&line.text) != body(text)),
            [name] => self.on_the_way(name),
            _ => None,
        }
    }

    /// What keeps a module from being loaded as it is: a blacklist, or an install line of the target's own.
    fn on_the_way(&self, module: &str) -> Option<&'a SiteLine> {
        self.of_kind("blacklist", module).next().or_else(|| self.of_kind("install", module).next())
    }
}

/// A line without its blanks, for a comparison.
fn body(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether two sets of options give one parameter two values.
fn differs(ours: &[&str], theirs: &[&str]) -> bool {
    let key = |word: &str| underscored(word.split('=').next().unwrap_or(word));
    ours.iter().any(|own| theirs.iter().any(|other| key(own) == key(other) && own != other))
}

/// Takes out of our lines what the target's own lines stand against, and asks a person about it.
pub(super) fn settle(out: &mut ModprobeD, boot: &mut Vec<OutputLine>, site: &Site, account: &mut Account) {
    let others = Others::of(site);
    if others.by_name.is_empty() {
        return;
    }
    let lists = [
        &mut out.commands,
        &mut out.softdeps,
        &mut out.aliases,
        &mut out.module_options,
        &mut out.alias_options,
        boot,
    ];
    for lines in lists {
        lines.retain(|line| match others.against(&line.text).filter(|_| !line.text.starts_with('#')) {
            Some(other) => ask(&line.from, &line.text, other, account),
            None => true,
        });
    }
}

/// Asks about a line of ours that another stands against; `false`, since it is not written.
fn ask(from: &[LineId], ours: &str, other: &SiteLine, account: &mut Account) -> bool {
    let why = format!("`{ours}` would meet `{}` in {}, which stays in force", body(&other.text), other.place);
    for line in from {
        account.needs_attention(*line, Kind::Site, why.as_str());
    }
    false
}
