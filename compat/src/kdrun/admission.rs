//! What a caller is to get: the daemon's queue, a refusal, or the news that there is none.
//! Reads the queue's state and the caller's `/proc` entry; changes nothing.

use std::fmt;

use nix::errno::Errno;

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
                f.write_str("refused (EPERM): neither root, nor is the queue open to its user")
            }
            Verdict::NoDaemon => f.write_str("refused (ENODEV): no daemon's queue"),
        }
    }
}

/// Decides for the thread `caller`, as its user is at this moment. The kernel will check each
/// msgsnd and msgrcv again by the same permissions; this only says it where old programs look.
pub(super) fn admit(channel: Channel, caller: u32) -> Verdict {
    match find(channel).and_then(|id| Ok((id, Access::of_queue(id)?))) {
        Ok((id, access)) => match Credentials::of_thread(caller) {
            Some(caller) if access.lets_in(&caller) => Verdict::Queue(id),
            _ => Verdict::Refused,
        },
        Err(Errno::EACCES) => Verdict::Refused,
        Err(_) => Verdict::NoDaemon,
    }
}

fn find(channel: Channel) -> Result<i32, Errno> {
    match channel {
        Channel::Id(id) => Ok(id),
        // SAFETY: msgget takes two integers and touches no memory.
        Channel::Key(key) => Errno::result(unsafe { libc::msgget(key, 0) }),
    }
}

/// Who may read and write a queue.
#[derive(Debug, Clone, Copy)]
struct Access {
    owner: (u32, u32),
    creator: (u32, u32),
    mode: u32,
}

impl Access {
    fn of_queue(id: i32) -> Result<Self, Errno> {
        let state = sysvmq::get(id, libc::IPC_STAT).map_err(|_| Errno::last())?;
        let perm = state.msg_perm;
        Ok(Self { owner: (perm.uid, perm.gid), creator: (perm.cuid, perm.cgid), mode: perm.mode.into() })
    }

    /// Root, or whom the mode lets both read and write, by the class it is in (`ipcperms` in
    /// `ipc/util.c`): a client must send as well as receive.
    fn lets_in(&self, caller: &Credentials) -> bool {
        const READ_AND_WRITE: u32 = 0o6;
        let class = if [self.owner.0, self.creator.0].contains(&caller.uid) {
            self.mode >> 6
        } else if caller.groups.iter().any(|gid| [self.owner.1, self.creator.1].contains(gid)) {
            self.mode >> 3
        } else {
            self.mode
        };
        caller.uid == 0 || class & READ_AND_WRITE == READ_AND_WRITE
    }
}

/// Who a thread is: effective user, and effective and supplementary groups.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    uid: u32,
    groups: Vec<u32>,
}

impl Credentials {
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

    fn queue(mode: u32) -> Access {
        Access { owner: (100, 200), creator: (0, 0), mode }
    }

    #[test]
    fn root_is_always_let_in() {
        assert!(queue(0).lets_in(&user(0, &[0])));
    }

    #[test]
    fn each_class_needs_both_reading_and_writing() {
        for (caller, shift) in [(user(100, &[7]), 6), (user(7, &[7, 200]), 3), (user(7, &[7]), 0)] {
            for (bits, let_in) in [(0o6, true), (0o4, false), (0o2, false), (0, false)] {
                assert_eq!(queue(bits << shift).lets_in(&caller), let_in, "{caller:?} {bits:o}");
            }
        }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        assert!(!queue(0o066).lets_in(&user(100, &[200])));
        assert!(!queue(0o606).lets_in(&user(7, &[200])));
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
