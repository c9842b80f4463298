//! The queue of kerneld's key: made or taken over at the start, and opened to the users whom the admin names.
#![forbid(unsafe_code)]

use crate::config::QueueConfig;
use kerneld_protocol::client::{Client, Failure};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use log::info;
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid};
use std::time::Duration;

/// Bytes that may wait in the queue, if the system permits it: enough for the answers to thousands of requests.
const CAPACITY: u64 = 1 << 20;

/// Makes the queue of `key`, or takes over the one that a killed daemon left: at once if it is known that
/// nobody serves it (`alone`), else after having asked.
///
/// # Errors
/// A sentence: the key is served already, or the system refuses.
pub(crate) fn open(key: i32, alone: bool) -> Result<Queue, String> {
    match Queue::create(key, 0o600) {
        Ok(queue) => Ok(queue),
        Err(Errno::EEXIST) if alone => Queue::open(key)
            .inspect(|_| info!("taking over the queue of key {key:#x} from a daemon that is gone"))
            .map_err(|errno| format!("cannot open the message queue of key {key:#x}: {}", errno.desc())),
        Err(Errno::EEXIST) => adopt(key),
        Err(errno) => Err(format!("cannot make the message queue of key {key:#x}: {}", errno.desc())),
    }
}

/// Tells that a key is served by another daemon, and what that one says of itself.
pub(crate) fn served(key: i32) -> String {
    let adopted = Queue::open(key).map_err(|errno| errno.desc().to_owned()).and_then(|_| adopt(key));
    adopted
        .err()
        .unwrap_or_else(|| format!("key {key:#x} is served already, by a daemon that does not answer"))
}

fn adopt(key: i32) -> Result<Queue, String> {
    let queue = Queue::open(key)
        .map_err(|errno| format!("the message queue of key {key:#x} cannot be opened: {}", errno.desc()))?;
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

/// Opens the queue to the users whom the configuration names, and to the intake's user.
///
/// # Errors
/// A sentence: an unknown group, or the queue belongs to somebody else.
pub(crate) fn give_access(
    queue: Queue,
    config: &QueueConfig,
    intake: Option<(u32, u32)>,
) -> Result<(), String> {
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
        info!("the queue holds only {capacity} bytes: {}", errno.desc());
    }
    Ok(())
}

fn group(name: &str) -> Result<Gid, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("queue.group = {name:?}: there is no such group")),
        Err(errno) => Err(format!("cannot look up group {name:?}: {}", errno.desc())),
    }
}
