//! What in an old system starts kerneld, loads modules by hand or cleans them up.

mod crontab;
mod script;
mod settings;

pub use crontab::ROOTS as CRONTABS;

use std::collections::HashSet;
use std::sync::Arc;

use crate::account::{Account, LineId};
use crate::old::modules_conf::lines::logical_lines;
use crate::old::modules_conf::reader::enter;
use crate::old::root::Root;

/// Seconds between autocleans unless kerneld is told otherwise (kerneld.c).
pub const DELAY: u32 = 60;

/// How kerneld was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The line that starts it.
    pub line: LineId,
    /// Seconds between autocleans, when `delay=` said so; 0: none.
    pub delay: Option<u32>,
    /// `keep`: never clean up.
    pub keep: bool,
    /// Words that kerneld ignored, and `debug` and `type=N`.
    pub others: Vec<String>,
}

impl Start {
    /// Reads kerneld's words; numbers as C's atoi reads them.
    pub fn read<'a>(line: LineId, words: impl IntoIterator<Item = &'a str>) -> Start {
        let mut start = Start { line, delay: None, keep: false, others: Vec::new() };
        for word in words {
            if word == "keep" {
                start.keep = true;
            } else if let Some(number) = word.strip_prefix("delay=") {
                let length = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
                start.delay = Some(number[..length].parse().unwrap_or(0));
            } else {
                start.others.push(word.to_owned());
            }
        }
        start
    }

    /// Seconds between autocleans; `None`: nothing is cleaned (`keep` beats `delay`).
    pub fn autoclean(&self) -> Option<u32> {
        let delay = self.delay.unwrap_or(DELAY);
        (!self.keep && delay > 0).then_some(delay)
    }
}

/// A module that is loaded at boot by name.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The line that loads it.
    pub line: LineId,
    /// The name asked for.
    pub name: String,
    /// `KEY=VALUE` words.
    pub options: Vec<String>,
}

/// A crontab line that cleans up.
#[derive(Clone, Debug)]
pub struct Cleaning {
    /// The line.
    pub line: LineId,
    /// Its five time fields, or a word like `@hourly`.
    pub schedule: String,
}

/// Everything found.
#[derive(Debug, Default)]
pub struct Found {
    /// Lines that start kerneld.
    pub starts: Vec<Start>,
    /// A line that forbids kerneld.
    pub forbids: Option<LineId>,
    /// Modules loaded by name.
    pub loaded: Vec<Loaded>,
    /// Lines of crontabs that clean up.
    pub cleaning: Vec<Cleaning>,
    /// `/sbin/request-route` is there.
    pub route: bool,
    /// `/sbin/screenblanker` is there.
    pub blanker: bool,
    /// A `persist.gdbm`, as a path below the root.
    pub persist: Option<String>,
    /// Scripts that could not be read, and why.
    pub notes: Vec<String>,
}

impl Found {
    /// The start in force: the one with words of its own, else the first; none when kerneld is forbidden.
    pub fn start(&self) -> Option<&Start> {
        if self.forbids.is_some() {
            return None;
        }
        let told = |start: &&Start| start.keep || start.delay.is_some();
        self.starts.iter().find(told).or(self.starts.first())
    }
}

/// Looks through a root.
pub fn discover(root: &Root, account: &mut Account) -> Result<Found, String> {
    let mut found = Found::default();
    for path in scripts(root) {
        if let Err(why) = script::read(root, &path, account, &mut found) {
            found.notes.push(why);
        }
    }
    settings::inittab(root, account, &mut found)?;
    settings::rc_config(root, account, &mut found)?;
    settings::etc_modules(root, account, &mut found)?;
    crontab::read(root, account, &mut found)?;
    found.route = root.exists("/sbin/request-route");
    found.blanker = root.exists("/sbin/screenblanker");
    found.persist = root
        .list("/lib/modules")
        .into_iter()
        .map(|release| format!("/lib/modules/{release}/persist.gdbm"))
        .find(|path| root.exists(path));
    Ok(found)
}

/// The start-up scripts of the distributions of that time, each file once: many are linked to from elsewhere.
fn scripts(root: &Root) -> Vec<String> {
    let is_backup = |name: &str| {
        name.ends_with('~') || name.ends_with(".orig") || name.contains(".dpkg-") || name.contains(".rpm")
    };
    let rc = root.list("/etc/rc.d").into_iter().filter(|name| name.starts_with("rc."));
    let mut paths: Vec<String> = rc.map(|name| format!("/etc/rc.d/{name}")).collect();
    for folder in ["/etc/rc.d/init.d", "/etc/init.d", "/sbin/init.d", "/etc/rc.boot"] {
        paths.extend(root.list(folder).into_iter().map(|name| format!("{folder}/{name}")));
    }
    paths.push("/etc/rc.local".to_owned());
    let mut seen = HashSet::new();
    paths.retain(|path| {
        let is_folder = !root.list(path).is_empty();
        !is_backup(path) && !is_folder && root.identity(path).is_some_and(|file| seen.insert(file))
    });
    paths
}

/// Calls `each` for every logical line that `concerns` us, after entering it into the account.
fn each_line(
    root: &Root,
    path: &str,
    account: &mut Account,
    concerns: impl Fn(&str) -> bool,
    mut each: impl FnMut(LineId, &str, &mut Account),
) -> Result<(), String> {
    let Some(content) = root.read(path)? else { return Ok(()) };
    let name: Arc<str> = path.into();
    let text = crate::old::bytes::from_bytes(&content.bytes);
    for logical in logical_lines(&text) {
        if !concerns(&logical.text) {
            each(usize::MAX, &logical.text, account);
            continue;
        }
        let line = enter(account, &name, &logical);
        match (&content.foreign, &logical.defect) {
            (Some(why), _) => account.needs_attention(line, format!("{path} cannot be trusted: {why}")),
            (None, Some(why)) => account.needs_attention(line, why.clone()),
            (None, None) => each(line, &logical.text, account),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_kerneld_read_them() {
        let start = Start::read(0, ["delay=30", "keep", "debug", "nonsense"]);
        assert_eq!((start.delay, start.keep, start.autoclean()), (Some(30), true, None));
        assert_eq!(Start::read(0, ["delay=120x"]).autoclean(), Some(120));
        assert_eq!(Start::read(0, ["delay=0"]).autoclean(), None);
        assert_eq!(Start::read(0, []).autoclean(), Some(60));
    }
}
