//! What a caller is to get: the daemon's queue, a refusal, or the news that there is none.
//! Reads the queue's state and the caller's `/proc` entry; changes nothing.

use std::fmt;

use nix::errno::Errno;

use kerneld_protocol::queue::{Queue, Stat};

/// Where the daemon's queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The queue of this key, whatever its id now is: a restarted daemon may have a new one.
    Key(i32),
    /// The queue of this id, and no other.
    Id(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The daemon's queue has this id.
    Queue(i32),
    /// The queue is not open to the caller, which is not root: EPERM, as the old `msgget` said
    /// (`ipc/msg.c`, Linux 1.3.57: without `suser()`).
    Refused,
    /// There is no such queue.
    NoDaemon,
}

impl Verdict {
    /// What `msgget` returns.
    pub(super) fn result(self) -> Result<i32, Errno> {
        match self {
            Verdict::Queue(id) => Ok(id),
            Verdict::Refused => Err(Errno::EPERM),
            Verdict::NoDaemon => Err(Errno::ENODEV),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Queue(id) => write!(f, "gets queue {id}"),
            Verdict::Refused => {
                f.write_str("refused (EPERM): it is not root, and the queue is not open to its user")
            }
            Verdict::NoDaemon => f.write_str("refused (ENODEV): there is no daemon's queue"),
        }
    }
}

/// Decides for the thread `caller`, as its user is at this moment. The kernel will check each
/// msgsnd and msgrcv again by the same permissions; this only tells old programs where they look for it.
pub(super) fn admit(channel: Channel, caller: u32) -> Verdict {
    let queue = match channel {
        Channel::Id(id) => Ok(Queue::from_id(id)),
        Channel::Key(key) => Queue::open(key),
    };
    match queue.and_then(|queue| Ok((queue, queue.stat()?))) {
        Ok((queue, stat)) => match Credentials::of_thread(caller) {
            Some(caller) if caller.may_use(&stat) => Verdict::Queue(queue.id()),
            _ => Verdict::Refused,
        },
        Err(Errno::EACCES) => Verdict::Refused,
        Err(_) => Verdict::NoDaemon,
    }
}

/// Who a thread is: effective user, and effective and supplementary groups.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    uid: u32,
    groups: Vec<u32>,
}

impl Credentials {
    /// Whether this is root, or one whom the queue's mode lets both read and write, by the class it
    /// is in (`ipcperms` in `ipc/util.c`): a client must send as well as receive.
    fn may_use(&self, queue: &Stat) -> bool {
        const READ_AND_WRITE: u16 = 0o6;
        let class = if [queue.uid, queue.creator.0].contains(&self.uid) {
            queue.mode >> 6
        } else if self.groups.iter().any(|gid| [queue.gid, queue.creator.1].contains(gid)) {
            queue.mode >> 3
        } else {
            queue.mode
        };
        self.uid == 0 || class & READ_AND_WRITE == READ_AND_WRITE
    }

    fn of_thread(thread: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        Self::parse(&status)
    }

    /// From the lines `Uid:` and `Gid:` (real, effective, saved, file system) and `Groups:` of
    /// `/proc/PID/status` (proc_pid_status(5)).
    fn parse(status: &str) -> Option<Self> {
        let numbers = |name: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().map(|word| word.parse().ok()).collect()
        };
        let mut groups = numbers("Groups:")?;
        groups.push(*numbers("Gid:")?.get(1)?);
        Some(Self { uid: *numbers("Uid:")?.get(1)?, groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, groups: &[u32]) -> Credentials {
        Credentials { uid, groups: groups.to_vec() }
    }

    fn queue(mode: u16) -> Stat {
        Stat {
            bytes: 0,
            messages: 0,
            capacity: 16384,
            last_sender: 0,
            last_sent: 0,
            uid: 100,
            gid: 200,
            creator: (0, 0),
            mode,
        }
    }

    #[test]
    fn root_is_always_let_in() {
        assert!(user(0, &[0]).may_use(&queue(0)));
    }

    #[test]
    fn each_class_needs_both_reading_and_writing() {
        for (caller, shift) in [(user(100, &[7]), 6), (user(7, &[7, 200]), 3), (user(7, &[7]), 0)] {
            for (bits, let_in) in [(0o6, true), (0o4, false), (0o2, false), (0, false)] {
                assert_eq!(caller.may_use(&queue(bits << shift)), let_in, "{caller:?} {bits:o}");
            }
        }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        assert!(!user(100, &[200]).may_use(&queue(0o066)));
        assert!(!user(7, &[200]).may_use(&queue(0o606)));
    }

    #[test]
    fn effective_ids_count() {
        let status =
            "Name:\tkdsend\nUid:\t1000\t1001\t1002\t1003\nGid:\t2000\t2001\t2002\t2003\nGroups:\t4 24 \n";
        assert_eq!(Credentials::parse(status), Some(user(1001, &[4, 24, 2001])));
        assert_eq!(Credentials::parse("Name:\tkdsend\n"), None);
    }

    #[test]
    fn this_process_is_readable() {
        let uid = nix::unistd::geteuid().as_raw();
        assert_eq!(Credentials::of_thread(std::process::id()).map(|c| c.uid), Some(uid));
    }
}
