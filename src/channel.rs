//! The queue as kerneld's own: made or taken over at start, opened to whom the admin says, removed at the end.
#![forbid(unsafe_code)]

use crate::config::{Config, QueueConfig};
use kerneld_protocol::client::{Client, Failure};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use log::{info, warn};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};
use std::time::Duration;

/// Bytes that may wait in the queue, where the system lets us: enough for the answers to thousands.
const CAPACITY: u64 = 1 << 20;

/// The intake's user where there is no user `kerneld`: below the ids that systemd hands out.
const NAMELESS: u32 = 61183;

/// Makes the queue of `key`, or takes over the one that a killed daemon left.
///
/// # Errors
/// A sentence: the key is served already, or the system refuses.
pub fn open(key: i32) -> Result<Queue, String> {
    match Queue::create(key, 0o600) {
        Ok(queue) => Ok(queue),
        Err(Errno::EEXIST) => adopt(key),
        Err(errno) => Err(format!("cannot make the message queue of key {key:#x}: {}", errno.desc())),
    }
}

fn adopt(key: i32) -> Result<Queue, String> {
    let queue = Queue::open(key)
        .map_err(|errno| format!("key {key:#x} has a message queue that lets us not in: {}", errno.desc()))?;
    match Client::on(queue, Layout::Lp64New).ask(Command::Debug, b"", Some(Duration::from_secs(5))) {
        Err(Failure::NoDaemon) => {
            info!("taking over the queue of key {key:#x}, which nobody serves");
            Ok(queue)
        }
        Ok(answer) => {
            let state = String::from_utf8_lossy(&answer.text).lines().next().unwrap_or_default().to_owned();
            Err(format!("key {key:#x} is served already: {state}. Stop that kerneld, or give another --key"))
        }
        Err(failure) => Err(format!("cannot tell whether key {key:#x} is served already: {failure}")),
    }
}

/// Opens the queue to those whom the configuration names, and to the intake's user.
///
/// # Errors
/// A sentence: an unknown group, or the queue belongs to somebody else.
pub fn give_access(queue: Queue, config: &QueueConfig, intake: Option<(u32, u32)>) -> Result<(), String> {
    let gid = match &config.group {
        Some(name) => group(name)?,
        None => Gid::effective(),
    };
    let uid = intake.map_or(Uid::effective().as_raw(), |(uid, _)| uid);
    queue
        .set_access(Some((uid, gid.as_raw())), config.mode)
        .map_err(|errno| format!("cannot set the queue's access: {}", errno.desc()))?;
    if let Err(errno) = queue.set_capacity(CAPACITY) {
        let capacity = queue.stat().map_or(0, |stat| stat.capacity);
        info!("the queue holds {capacity} bytes only: {}", errno.desc());
    }
    Ok(())
}

/// User and group for the intake; `None` to stay who we are, which is said.
///
/// # Errors
/// A sentence: the configured user does not exist, or cannot be become.
pub fn intake_user(config: &Config) -> Result<Option<(u32, u32)>, String> {
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
    warn!("the intake stays root: this user namespace has no user {uid}, or we may not change to it");
    Ok(None)
}

fn user(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|errno| format!("cannot look up user {name:?}: {}", errno.desc()))
}

fn group(name: &str) -> Result<Gid, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("queue.group = {name:?}: there is no such group")),
        Err(errno) => Err(format!("cannot look up group {name:?}: {}", errno.desc())),
    }
}

/// Whether a process of ours could change to `uid`: it needs the capabilities, and a container may
/// not map the id.
fn may_become(uid: u32) -> bool {
    use caps::{CapSet, Capability};
    let has = |cap| caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID) && map.lines().any(|line| maps(line, uid))
}

/// A line of uid_map: first id inside, first id outside, how many.
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
