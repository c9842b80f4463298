//! Which process sent a request: the most likely one, and how certain that is.
//!
//! SysV queues do not tell a message's sender. There are two hints: the new protocol's pid field,
//! which the sender fills in and which holds 16 bits only, and the queue's `msg_lspid`, which the
//! kernel fills in with the *last* sender: another client's message, or an answer of our own, may
//! have come in between. Where both agree a mistake needs an accident, or a sender that lies: this is
//! for an admin's eyes, never for a decision about what may be done.
#![forbid(unsafe_code)]

use crate::request::ReplyTo;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process that sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sender {
    /// Its pid, as the caller of [`Senders::find`] sees pids.
    pub pid: i32,
    /// Its command, as in `/proc/PID/comm` (at most 15 bytes; what is not UTF-8 is replaced); `None`
    /// when the process was gone already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// What says so.
    pub evidence: Evidence,
}

/// The evidence for a [`Sender`], best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The request's pid field and the queue's last sender agree.
    Both,
    /// The request's pid field, and just one living process fits it.
    Request,
    /// The queue's last sender alone, since the old protocol has no pid field: with several clients at
    /// once it may be the wrong one.
    Queue,
}

/// How long what is known of a process is taken to hold: less than a pid needs to come round again.
const FRESH: Duration = Duration::from_secs(1);

/// Most processes that are remembered at once.
const REMEMBERED: usize = 256;

/// Finds senders, and remembers for `FRESH` whom it found: one who asks often is looked up once.
#[derive(Debug, Default)]
pub struct Senders {
    recent: HashMap<i32, (Instant, Option<String>)>,
}

impl Senders {
    /// The process that most likely sent the request which is answered by `reply`. `last_sender` is
    /// the queue's `msg_lspid`, read as soon as may be after the request. `None` when nothing fits:
    /// the sender is gone, or several processes could be it.
    pub fn find(&mut self, reply: &ReplyTo, last_sender: Option<i32>) -> Option<Sender> {
        let now = Instant::now();
        // Our own answers are sends too, and 0 is one whom this pid namespace does not show.
        let last = last_sender.filter(|pid| *pid > 0 && pid.cast_unsigned() != std::process::id());
        let (pid, evidence) = match (reply.sender_pid(), last) {
            (Some(low), Some(last)) if low_bits(last) == low => (last, Evidence::Both),
            (Some(low), _) => (self.seen(low, now).or_else(|| only_living(low))?, Evidence::Request),
            (None, last) => (last?, Evidence::Queue),
        };
        Some(Sender { pid, comm: self.comm(pid, now), evidence })
    }

    fn seen(&self, low: i16, now: Instant) -> Option<i32> {
        let fits = |(pid, (at, _)): (&i32, &(Instant, _))| {
            (low_bits(*pid) == low && now < *at + FRESH).then_some(*pid)
        };
        self.recent.iter().find_map(fits)
    }

    fn comm(&mut self, pid: i32, now: Instant) -> Option<String> {
        if let Some((_, comm)) = self.recent.get(&pid).filter(|(at, _)| now < *at + FRESH) {
            return comm.clone();
        }
        if self.recent.len() >= REMEMBERED {
            self.recent.clear();
        }
        let comm = comm(pid);
        self.recent.insert(pid, (now, comm.clone()));
        comm
    }
}

/// A pid as the new protocol carries it (`short pid`, `kerneld.h`, Linux 2.1).
fn low_bits(pid: i32) -> i16 {
    (pid & 0xffff) as u16 as i16
}

/// The one process whose pid ends in these 16 bits.
fn only_living(low: i16) -> Option<i32> {
    let first = i32::from(low.cast_unsigned());
    let mut living = (first..=pid_max()).step_by(1 << 16).filter(|pid| *pid > 0 && lives(*pid));
    let pid = living.next()?;
    living.next().is_none().then_some(pid)
}

/// `kernel.pid_max`; what a 64-bit kernel allows at most where that cannot be read.
fn pid_max() -> i32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    text.trim_end().parse().unwrap_or(1 << 22)
}

fn lives(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn comm(pid: i32) -> Option<String> {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(&comm)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Layout;
    use std::process::{Child, Command};

    struct Sleeper(Child);

    impl Sleeper {
        fn new() -> Self {
            Sleeper(Command::new("sleep").arg("60").spawn().expect("sleep runs"))
        }

        fn pid(&self) -> i32 {
            self.0.id().cast_signed()
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).expect("our child can be ended");
        }
    }

    fn reply(layout: Layout, pid: i32) -> ReplyTo {
        ReplyTo { id: 1, layout, pid: low_bits(pid) }
    }

    #[test]
    fn request_and_queue_agree() {
        let client = Sleeper::new();
        let found =
            Senders::default().find(&reply(Layout::Lp64New, client.pid()), Some(client.pid())).unwrap();
        assert_eq!((found.pid, found.evidence), (client.pid(), Evidence::Both));
        assert!(found.comm.is_some());
    }

    #[test]
    fn another_client_or_ourselves_sent_last() {
        let (client, other) = (Sleeper::new(), Sleeper::new());
        for last in [other.pid(), std::process::id().cast_signed(), 0] {
            let found = Senders::default().find(&reply(Layout::Ilp32New, client.pid()), Some(last));
            // Another process may by chance end in the same 16 bits where pids are long.
            if let Some(found) = found {
                assert_eq!((found.pid, found.evidence), (client.pid(), Evidence::Request));
            }
        }
    }

    #[test]
    fn one_who_asked_just_now_is_known_by_its_sixteen_bits() {
        let (client, other) = (Sleeper::new(), Sleeper::new());
        let mut senders = Senders::default();
        let reply = reply(Layout::Lp64New, client.pid());
        assert_eq!(senders.find(&reply, Some(client.pid())).unwrap().evidence, Evidence::Both);
        let again = senders.find(&reply, Some(other.pid())).unwrap();
        assert_eq!((again.pid, again.evidence), (client.pid(), Evidence::Request));
    }

    #[test]
    fn the_old_protocol_leaves_the_queue() {
        let client = Sleeper::new();
        let find = |last| Senders::default().find(&reply(Layout::Ilp32Old, 0), last).map(|sender| sender.pid);
        assert_eq!(find(Some(client.pid())), Some(client.pid()));
        assert_eq!(find(Some(std::process::id().cast_signed())), None);
        assert_eq!(find(None), None);
    }

    #[test]
    fn a_sender_that_is_gone_has_no_command() {
        let pid = Sleeper::new().pid();
        let found = Senders::default().find(&reply(Layout::Lp64New, pid), Some(pid)).unwrap();
        assert_eq!(found.comm, None);
    }
}
