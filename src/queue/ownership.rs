//! The queue of kerneld's key: made or taken over at the start, and opened to the users whom the admin names.
#![forbid(unsafe_code)]

use crate::config::QueueConfig;
use crate::queue::listeners;
use kerneld_protocol::client::{Client, Failure};
use kerneld_protocol::queue::{Queue, Stat};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use log::{error, info, warn};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid};
use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may wait in the queue, if the system permits it: enough for the answers to thousands of requests.
const CAPACITY: u64 = 1 << 20;

/// How long a daemon that may serve the key already has time to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no queue to serve.
#[derive(Debug)]
pub(crate) enum QueueError {
    /// Somebody serves the key: the first line of what that daemon answers to kdstat.
    Served(i32, String),
    /// It is not known whether somebody serves the key.
    Unclear(i32, Failure),
    /// The queue of the key belongs to other users (its state, if we may read it), and we are not root.
    Foreign(i32, Option<Stat>),
    /// The configured group does not exist.
    NoGroup(String),
    /// The system refuses: what was to be done, and the reason.
    Refused(String, Errno),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::Served(key, state) => write!(
                f,
                "key {key:#x} is served already: {}. Stop that kerneld, or give another --key",
                state.escape_debug()
            ),
            QueueError::Unclear(key, failure) => {
                write!(f, "cannot tell whether key {key:#x} is served already: {failure}")
            }
            QueueError::Foreign(key, stat) => {
                let whose = stat.map_or("belongs to another user".to_owned(), |stat| whose(&stat));
                write!(
                    f,
                    "the message queue of key {key:#x} {whose}, who has an owner's rights to it. Have it removed \
                     (ipcrm -Q {key:#x}), or give another --key"
                )
            }
            QueueError::NoGroup(name) => write!(f, "queue.group = {name:?}: there is no such group"),
            QueueError::Refused(what, errno) => write!(f, "cannot {what}: {}", errno.desc()),
        }
    }
}

impl std::error::Error for QueueError {}

fn whose(Stat { uid, creator: (creator, _), .. }: &Stat) -> String {
    format!("was made by user {creator} and belongs to user {uid}")
}

fn refused(what: impl Into<String>) -> impl FnOnce(Errno) -> QueueError {
    let what = what.into();
    move |errno| QueueError::Refused(what, errno)
}

/// A queue to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// The queue.
    pub(crate) queue: Queue,
    /// Whether it was made just now, so that nobody can have waited on it before.
    pub(crate) is_new: bool,
}

/// Makes the queue of `key`, or takes over the one that a killed daemon of ours left; `intake` is the user
/// that the intake becomes, to whom such a queue belongs. Unless it is known that nobody serves the key
/// (`alone`), that is asked first. What other users have made is removed, if we are
/// root, and never asked anything: who makes a queue keeps an owner's rights for ever (`cuid`, which
/// IPC_SET cannot change), and could answer for us, read requests or remove the queue.
///
/// # Errors
/// [`QueueError`].
pub(crate) fn open(key: i32, intake: Option<u32>, alone: bool) -> Result<Opened, QueueError> {
    loop {
        match Queue::create(key, 0o600) {
            Ok(queue) => return Ok(Opened { queue, is_new: true }),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(refused(format!("make the message queue of key {key:#x}"))(errno)),
        }
        if let Some(queue) = take_over(key, intake, alone)? {
            return Ok(Opened { queue, is_new: false });
        }
    }
}

/// `None` when the queue is gone by now.
fn take_over(key: i32, intake: Option<u32>, alone: bool) -> Result<Option<Queue>, QueueError> {
    let queue = match Queue::open(key) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened.map_err(refused(format!("open the message queue of key {key:#x}")))?,
    };
    let stat = match queue.stat() {
        Err(Errno::EIDRM | Errno::EINVAL) => return Ok(None),
        Err(Errno::EACCES) => return Err(QueueError::Foreign(key, None)),
        known => known.map_err(refused(format!("read the state of the message queue of key {key:#x}")))?,
    };
    let ours = Uid::effective().as_raw();
    if stat.creator.0 == ours && (stat.uid == ours || Some(stat.uid) == intake) {
        return if alone { Ok(Some(queue)) } else { ask(key, queue).map(Some) };
    }
    if ours != 0 {
        return Err(QueueError::Foreign(key, Some(stat)));
    }
    warn!(
        "removing the message queue of key {key:#x}, which {}, and making another: they would keep an owner's \
         rights to it",
        whose(&stat)
    );
    match queue.remove() {
        Ok(()) | Err(Errno::EIDRM | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(refused(format!("remove the message queue of key {key:#x}"))(errno)),
    }
}

/// Removes the queue, unless somebody still waits on it: a listener of the old days, for which the queue
/// lived until its last user ended. The next daemon takes it over.
///
/// # Errors
/// As [`Queue::remove`].
pub(crate) fn leave(queue: Queue) -> Result<(), Errno> {
    let waiting = listeners::waiting(queue);
    if waiting.is_empty() {
        return queue.remove();
    }
    let pids: Vec<String> = waiting.iter().map(u32::to_string).collect();
    info!("leaving the queue to those who still wait on it: process {}", pids.join(", "));
    Ok(())
}

/// What to say of a key whose ring is in use.
pub(crate) fn served(key: i32, intake: Option<u32>) -> QueueError {
    let unknown = || QueueError::Served(key, "by a daemon that does not answer".to_owned());
    take_over(key, intake, false).err().unwrap_or_else(unknown)
}

/// Makes sure that nobody serves a queue.
fn ask(key: i32, queue: Queue) -> Result<Queue, QueueError> {
    match Client::on(queue, Layout::Lp64New).ask(Command::Debug, b"", Some(PATIENCE)) {
        Err(Failure::NoDaemon) => {
            info!("taking over the queue of key {key:#x}, which nobody serves");
            Ok(queue)
        }
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.text);
            Err(QueueError::Served(key, text.lines().next().unwrap_or_default().to_owned()))
        }
        Err(failure) => Err(QueueError::Unclear(key, failure)),
    }
}

/// The daemon's queue as all its threads see it. It is made anew when somebody has removed it.
pub(crate) struct OwnQueue {
    key: i32,
    id: AtomicI32,
    access: Mutex<Access>,
}

/// Whom the queue is open to.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// What the configuration says.
    pub(crate) config: QueueConfig,
    /// The user that the intake becomes.
    pub(crate) intake: Option<u32>,
}

impl OwnQueue {
    /// The queue of `key`, which is open to nobody yet but its creator.
    pub(crate) fn new(key: i32, queue: Queue) -> Self {
        let access = Access { config: QueueConfig::default(), intake: None };
        OwnQueue { key, id: AtomicI32::new(queue.id()), access: Mutex::new(access) }
    }

    /// The queue at this moment.
    pub(crate) fn now(&self) -> Queue {
        Queue::from_id(self.id.load(Ordering::Acquire))
    }

    /// Opens it to the users whom the configuration names, and to the intake's user.
    ///
    /// # Errors
    /// [`QueueError`]: an unknown group, or the queue belongs to somebody else.
    pub(crate) fn give_access(&self, access: Access) -> Result<(), QueueError> {
        let mut current = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        give_access(self.now(), &access)?;
        *current = access;
        Ok(())
    }

    /// Makes another one under the same key, with the same access, if this one has been removed; whether it
    /// had. What waited on it is lost: the kernel told its senders so (`EIDRM`).
    ///
    /// # Errors
    /// [`QueueError`].
    pub(crate) fn renew(&self) -> Result<bool, QueueError> {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.now().stat(), Err(Errno::EIDRM | Errno::EINVAL)) {
            return Ok(false);
        }
        let opened = open(self.key, access.intake, false)?;
        give_access(opened.queue, &access)?;
        self.id.store(opened.queue.id(), Ordering::Release);
        error!("somebody has removed the message queue of key {:#x}: serving another one now", self.key);
        Ok(true)
    }
}

fn give_access(queue: Queue, Access { config, intake }: &Access) -> Result<(), QueueError> {
    let gid = match &config.group {
        Some(name) => group(name)?,
        None => Gid::effective(),
    };
    let uid = intake.unwrap_or(Uid::effective().as_raw());
    queue.set_access(Some((uid, gid.as_raw())), config.mode).map_err(refused("set the queue's access"))?;
    if let Err(errno) = queue.set_capacity(CAPACITY) {
        let capacity = queue.stat().map_or(0, |stat| stat.capacity);
        info!("the queue holds only {capacity} bytes: {}", errno.desc());
    }
    Ok(())
}

fn group(name: &str) -> Result<Gid, QueueError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(QueueError::NoGroup(name.to_owned())),
        Err(errno) => Err(refused(format!("look up group {name:?}"))(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_daemon_answers_is_printed_without_escape_sequences() {
        let told = QueueError::Served(1, "\x1b[2J\x07Version".to_owned()).to_string();
        assert!(!told.chars().any(char::is_control), "{told:?}");
        assert!(told.contains("Version"));
    }

    #[test]
    fn a_queue_that_was_removed_is_made_anew_with_the_same_access() {
        let key = Queue::free_key();
        let own = OwnQueue::new(key, Queue::create(key, 0o600).unwrap());
        let config = QueueConfig { mode: 0o640, ..QueueConfig::default() };
        own.give_access(Access { config, intake: None }).unwrap();
        assert!(!own.renew().unwrap());
        let before = own.now();
        before.remove().unwrap();
        assert!(own.renew().unwrap());
        assert!(own.now() != before && own.now() == Queue::open(key).unwrap());
        assert_eq!(own.now().stat().unwrap().mode, 0o640);
        own.now().remove().unwrap();
    }
}
