//! Crontab lines that clean modules up: `rmmod -a`, `modprobe -r` without a name.

use super::found::{Cleaning, Found};
use crate::account::{Account, Kind};
use crate::error::Result;
use crate::old::input;
use crate::old::shell::parse_part;
use crate::root::Root;

/// Crontabs of root, without a column for the user.
pub const ROOTS: [&str; 4] = [
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/tabs/root",
    "/var/spool/cron/root",
    "/var/cron/tabs/root",
];

/// Reads all crontabs.
pub(super) fn read(root: &Root, account: &mut Account, found: &mut Found) {
    for (path, has_user) in tables(root) {
        if let Err(why) = table(root, &path, has_user, account, found) {
            found.notes.push(why.to_string());
        }
    }
}

/// Where crontabs may be, and whether their lines have a column for the user.
fn tables(root: &Root) -> impl Iterator<Item = (String, bool)> {
    let of_root = ROOTS.iter().map(|path| ((*path).to_owned(), false));
    let others = root.list("/etc/cron.d").into_iter().map(|name| format!("/etc/cron.d/{name}"));
    let with_user = std::iter::once("/etc/crontab".to_owned()).chain(others).map(|path| (path, true));
    of_root.chain(with_user)
}

fn concerns(text: &str) -> bool {
    ["rmmod", "modprobe", "kerneld"].iter().any(|word| text.contains(word))
}

fn table(root: &Root, path: &str, has_user: bool, account: &mut Account, found: &mut Found) -> Result<()> {
    if path.ends_with("/kerneld-migrated") {
        return Ok(());
    }
    for read in input::lines(root, path, account, concerns)? {
        let (Some(line), text) = (read.id, &read.text) else { continue };
        let fields = if text.trim_start().starts_with('@') { 1 } else { 5 };
        let mut words = text.split_whitespace();
        let schedule: Vec<&str> = words.by_ref().take(fields).collect();
        let command: Vec<&str> = words.skip(usize::from(has_user)).collect();
        if is_cleaning(&command.join(" ")) {
            found.cleaning.push(Cleaning { line, schedule: schedule.join(" ") });
            account.rewritten(line, "today's rmmod has no -a; our daemon does one sweep");
        } else {
            let why = "a crontab line about modules: does it still do what it should?";
            account.needs_attention(line, Kind::Schedule, why);
        }
    }
    Ok(())
}

fn is_cleaning(command: &str) -> bool {
    let Ok(parsed) = parse_part(command) else { return false };
    let [simple] = &parsed.commands[..] else { return false };
    let words: Option<Vec<&str>> = simple.iter().map(|word| word.value.as_deref()).collect();
    let Some((program, arguments)) = words.as_deref().and_then(<[&str]>::split_first) else { return false };
    let flags: String = arguments.iter().filter_map(|word| word.strip_prefix('-')).collect();
    let only_flags = arguments.iter().all(|word| word.starts_with('-'));
    match program.rsplit('/').next() {
        Some("rmmod") => only_flags && flags.contains('a'),
        Some("modprobe") => only_flags && flags.contains('r'),
        _ => false,
    }
}
