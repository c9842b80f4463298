//! Settings that decide about kerneld: inittab, SuSE's rc.config, Debian's /etc/modules.

use super::{Found, Loaded, Start, each_line};
use crate::account::Account;
use crate::old::modules_conf::words::{Environment, split};
use crate::old::root::Root;

/// `ID:RUNLEVELS:ACTION:/sbin/kerneld WORDS`.
pub fn inittab(root: &Root, account: &mut Account, found: &mut Found) -> Result<(), String> {
    each_line(
        root,
        "/etc/inittab",
        account,
        |text| text.contains("kerneld"),
        |line, text, account| {
            if line == usize::MAX {
                return;
            }
            let mut fields = text.splitn(4, ':').skip(2);
            let (action, process) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let mut words = process.split_whitespace();
            if action != "off"
                && words.next().is_some_and(|program| program.rsplit('/').next() == Some("kerneld"))
            {
                found.starts.push(Start::read(line, words));
                account.rewritten(line, "kernels from 2.1.90 on run modprobe themselves");
            } else {
                account.dropped(line, "does not start kerneld");
            }
        },
    )
}

/// SuSE: `START_KERNELD=yes`.
pub fn rc_config(root: &Root, account: &mut Account, found: &mut Found) -> Result<(), String> {
    let concerns = |text: &str| text.trim_start().starts_with("START_KERNELD");
    each_line(root, "/etc/rc.config", account, concerns, |line, text, account| {
        if line == usize::MAX {
            return;
        }
        let value = text.split_once('=').map_or("", |(_, value)| value.trim().trim_matches(['"', '\'']));
        if value == "yes" {
            found.starts.push(Start::read(line, []));
            account.rewritten(line, "kernels from 2.1.90 on run modprobe themselves");
        } else {
            found.forbids = Some(line);
            account.needs_attention(line, FORBIDDEN);
        }
    })
}

const FORBIDDEN: &str = "kerneld was switched off here, so nothing was loaded on demand; kernels of today always load \
     on demand unless kernel.modprobe is empty: decide which you want";

/// Debian: module names, and `auto` or `noauto` for kerneld.
pub fn etc_modules(root: &Root, account: &mut Account, found: &mut Found) -> Result<(), String> {
    each_line(
        root,
        "/etc/modules",
        account,
        |_| true,
        |line, text, account| {
            if line == usize::MAX {
                return;
            }
            let words = split(text, 0, &Environment::default());
            if let Some(why) = words.iter().find_map(|word| word.unknown.clone()) {
                return account.needs_attention(line, why);
            }
            let mut words = words.into_iter().map(|word| word.text);
            match words.next().as_deref() {
                Some("auto") => {
                    found.starts.push(Start::read(line, []));
                    account.rewritten(line, "kernels from 2.1.90 on run modprobe themselves");
                }
                Some("noauto") => {
                    found.forbids = Some(line);
                    account.needs_attention(line, FORBIDDEN);
                }
                Some(name) => {
                    found.loaded.push(Loaded { line, name: name.to_owned(), options: words.collect() });
                    account.rewritten(line, "");
                }
                None => account.dropped(line, "says nothing"),
            }
        },
    )
}
