//! Files beside the one that modutils reads: Debian's /etc/modutils, Gentoo's /etc/modules.d, and the second
//! of /etc/modules.conf and /etc/conf.modules.

use std::collections::HashMap;
use std::sync::Arc;

use super::input::enter;
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::old::lines::logical_lines;
use crate::old::modules_conf::reader::Reader;
use crate::root::Root;

/// The snippets in the order in which update-modules joins them. On Debian, `arch/` holds one per machine type.
fn paths(root: &Root) -> Vec<String> {
    let mut paths = Vec::new();
    for folder in ["/etc/modutils", "/etc/modules.d"] {
        for name in root.list(folder) {
            let path = format!("{folder}/{name}");
            if name.starts_with('.') || name.ends_with('~') || name.contains(".dpkg-") || name == "README" {
                continue;
            }
            if root.list(&path).is_empty() && name != "arch" {
                paths.push(path);
            }
        }
    }
    let i386 = "/etc/modutils/arch/i386";
    if root.exists(i386) {
        paths.push(i386.to_owned());
    }
    paths
}

/// Without a generated file the snippets are all there is: they are read as update-modules would join them.
///
/// # Errors
/// When one of them cannot be read.
pub fn read_in_place(root: &Root, reader: &mut Reader) -> Result<()> {
    for path in paths(root) {
        reader.file(&path)?;
    }
    Ok(())
}

/// Accounts for the lines of files that modutils does not read itself: a copy in `config` decides their fate.
///
/// # Errors
/// When one of them cannot be read.
pub fn account_for(root: &Root, config: &str, account: &mut Account) -> Result<()> {
    let mut copies: HashMap<String, LineId> = HashMap::new();
    for (id, line) in account.lines().iter().enumerate() {
        if &*line.file == config {
            copies.entry(line.text.trim().to_owned()).or_insert(id);
        }
    }
    for path in paths(root) {
        each(root, &path, account, |line, text, account| match copies.get(text) {
            Some(copy) => {
                let why = format!("update-modules put it into {}", account.line(*copy).place());
                account.shares(line, *copy, why);
            }
            None => account.needs_attention(
                line,
                Kind::NotInForce,
                format!(
                    "is not in {config}: update-modules has not been run since, so modutils does not know it"
                ),
            ),
        })?;
    }
    let other = if config == "/etc/modules.conf" { "/etc/conf.modules" } else { return Ok(()) };
    each(root, other, account, |line, text, account| match copies.get(text) {
        Some(copy) => {
            let why = format!("modutils reads {config} alone, which has the line too");
            account.shares(line, *copy, why);
        }
        None => account.dropped(line, format!("not in force: modutils reads {config} alone")),
    })
}

fn each(
    root: &Root,
    path: &str,
    account: &mut Account,
    mut settle: impl FnMut(LineId, &str, &mut Account),
) -> Result<()> {
    let Some(content) = root.read(path)? else { return Ok(()) };
    let name: Arc<str> = path.into();
    let text = crate::old::bytes::from_bytes(&content.bytes);
    for logical in logical_lines(&text) {
        account.check_size(path)?;
        let line = enter(account, &name, &logical);
        settle(line, logical.physical[0].text.trim(), account);
    }
    Ok(())
}
