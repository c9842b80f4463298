//! What busybox's modprobe cannot be told: it knows aliases, options and blacklists alone.

use std::collections::HashSet;

use super::lines::ModprobeD;
use crate::account::{Account, Kind};
use crate::new::output::OutputLine;

/// Takes out the lines that busybox's modprobe does not understand, and asks a person about each.
pub(super) fn limit(out: &mut ModprobeD, account: &mut Account) {
    let word = |line: &OutputLine, index| line.text.split(' ').nth(index).unwrap_or_default().to_owned();
    let installed: HashSet<String> = out.commands.iter().map(|line| word(line, 1)).collect();
    let ask = |line: &OutputLine, account: &mut Account| {
        let why = format!("busybox's modprobe has no way to say `{}`", line.text);
        line.from.iter().for_each(|from| account.needs_attention(*from, Kind::Command, why.as_str()));
    };
    for line in std::mem::take(&mut out.commands).iter().chain(&std::mem::take(&mut out.softdeps)) {
        ask(line, account);
    }
    out.aliases.retain(|line| {
        let leads_nowhere = line.text.starts_with("alias ") && installed.contains(&word(line, 2));
        if leads_nowhere {
            ask(line, account);
        }
        !leads_nowhere
    });
    // it splits options at every blank, quoted or not
    for lines in [&mut out.module_options, &mut out.alias_options] {
        lines.retain(|line| {
            let is_quoted = line.text.contains('"');
            if is_quoted {
                ask(line, account);
            }
            !is_quoted
        });
    }
}
