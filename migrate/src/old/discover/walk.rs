//! Where an old system is looked through.

use std::collections::HashSet;

use super::found::Found;
use super::{crontab, script, settings};
use crate::account::Account;
use crate::error::Result;
use crate::old::remembered;
use crate::root::Root;

/// Looks through a root.
///
/// # Errors
/// When a file that decides about kerneld cannot be read. A script that cannot be read is a note.
pub fn discover(root: &Root, account: &mut Account) -> Result<Found> {
    let mut found = Found::default();
    for path in scripts(root) {
        if let Err(why) = script::read(root, &path, account, &mut found) {
            found.notes.push(why.to_string());
        }
    }
    settings::inittab(root, account, &mut found)?;
    settings::rc_config(root, account, &mut found)?;
    settings::etc_modules(root, account, &mut found)?;
    crontab::read(root, account, &mut found);
    found.route = root.exists("/sbin/request-route");
    found.blanker = root.exists("/sbin/screenblanker");
    found.persist = remembered::file(root);
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
        let is_folder = root.is_directory(path);
        !is_backup(path) && !is_folder && root.identity(path).is_some_and(|file| seen.insert(file))
    });
    paths
}
