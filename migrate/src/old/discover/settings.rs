//! Settings that decide about kerneld: inittab, SuSE's rc.config, Debian's /etc/modules.

use super::found::{Found, Loaded, Start};
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::old::input;
use crate::old::modules_conf::words::{Environment, split};
use crate::root::Root;

const STARTED: &str = "kernels from 2.1.90 on run modprobe themselves";

const FORBIDDEN: &str = "kerneld was switched off here, so nothing was loaded on demand; kernels of today always load \
     on demand unless kernel.modprobe is empty: decide which you want";

/// `ID:RUNLEVELS:ACTION:/sbin/kerneld WORDS`.
pub(super) fn inittab(root: &Root, account: &mut Account, found: &mut Found) -> Result<()> {
    for read in input::lines(root, "/etc/inittab", account, |text| text.contains("kerneld"))? {
        let Some(line) = read.id else { continue };
        let mut fields = read.text.splitn(4, ':').skip(2);
        let (action, process) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let mut words = process.split_whitespace();
        let runs = words.next().is_some_and(|program| program.rsplit('/').next() == Some("kerneld"));
        if action != "off" && runs {
            started(Start::read(line, words), account, found);
        } else {
            account.dropped(line, "does not start kerneld");
        }
    }
    Ok(())
}

fn started(start: Start, account: &mut Account, found: &mut Found) {
    account.rewritten(start.line, STARTED);
    found.starts.push(start);
}

fn forbidden(line: LineId, account: &mut Account, found: &mut Found) {
    account.needs_attention(line, Kind::SwitchedOff, FORBIDDEN);
    found.forbids = Some(line);
}

/// SuSE: `START_KERNELD=yes`.
pub(super) fn rc_config(root: &Root, account: &mut Account, found: &mut Found) -> Result<()> {
    let concerns = |text: &str| text.trim_start().starts_with("START_KERNELD");
    for read in input::lines(root, "/etc/rc.config", account, concerns)? {
        let Some(line) = read.id else { continue };
        let value = read.text.split_once('=').map_or("", |(_, value)| value.trim().trim_matches(['"', '\'']));
        if value == "yes" {
            started(Start::read(line, []), account, found);
        } else {
            forbidden(line, account, found);
        }
    }
    Ok(())
}

/// Debian: module names, and `auto` or `noauto` for kerneld. Caldera had a folder of that name.
pub(super) fn etc_modules(root: &Root, account: &mut Account, found: &mut Found) -> Result<()> {
    if root.is_directory("/etc/modules") {
        let why = "/etc/modules is a folder, as on Caldera's systems; modules that its start-up scripts loaded are not \
                   taken over";
        found.notes.push(why.to_owned());
        return Ok(());
    }
    for read in input::lines(root, "/etc/modules", account, |_| true)? {
        let Some(line) = read.id else { continue };
        let words = split(&read.text, 0, &Environment::default());
        match words.iter().find_map(|word| word.unknown.clone()) {
            Some(why) => account.needs_attention(line, Kind::ShellValue, why),
            None => etc_modules_line(line, words.into_iter().map(|word| word.text), account, found),
        }
    }
    Ok(())
}

fn etc_modules_line(
    line: LineId,
    mut words: impl Iterator<Item = String>,
    account: &mut Account,
    found: &mut Found,
) {
    match words.next().as_deref() {
        Some("auto") => started(Start::read(line, []), account, found),
        Some("noauto") => forbidden(line, account, found),
        Some(name) => {
            found.loaded.push(Loaded { line, name: name.to_owned(), options: words.collect() });
        }
        None => account.dropped(line, "says nothing"),
    }
}
