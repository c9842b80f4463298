//! The user that the intake becomes.
#![forbid(unsafe_code)]

use crate::config::Config;
use log::warn;
use nix::unistd::{Uid, User};

/// The intake's user where there is no user `kerneld`: below the ids that systemd hands out.
const NAMELESS: u32 = 61183;

/// User and group for the intake; `None` to stay who we are, which is logged.
///
/// # Errors
/// A sentence: the configured user does not exist, or kerneld cannot change to it.
pub(crate) fn intake_user(config: &Config) -> Result<Option<(u32, u32)>, String> {
    let wanted = config.intake.user.as_deref();
    if !Uid::effective().is_root() {
        return match wanted {
            Some(name) => Err(format!("intake.user = {name:?} needs kerneld to be started by root")),
            None => Ok(None),
        };
    }
    let (uid, gid) = match user(wanted.unwrap_or("kerneld"))? {
        Some(user) => (user.uid.as_raw(), user.gid.as_raw()),
        None if wanted.is_none() => (NAMELESS, NAMELESS),
        None => return Err(format!("intake.user = {:?}: there is no such user", wanted.unwrap_or_default())),
    };
    if may_become(uid) {
        return Ok(Some((uid, gid)));
    }
    warn!("the intake stays root: this user namespace has no user {uid}, or kerneld may not change to it");
    Ok(None)
}

fn user(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|errno| format!("cannot look up user {name:?}: {}", errno.desc()))
}

/// Whether a process of ours could change to `uid`: that needs the capabilities, and a container in which
/// the id is mapped.
fn may_become(uid: u32) -> bool {
    use caps::{CapSet, Capability};
    let has = |cap| caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID) && map.lines().any(|line| maps(line, uid))
}

/// A line of uid_map: the first id inside, the first id outside, and how many ids there are.
fn maps(line: &str, uid: u32) -> bool {
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    matches!(numbers[..], [first, _, count] if (first..first + count).contains(&u64::from(uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_maps_some_ids_only() {
        assert!(maps("         0          0 4294967295", NAMELESS));
        assert!(!maps("         0     100000      65536", 70000));
        assert!(!maps("0 1000 1", NAMELESS));
    }
}
