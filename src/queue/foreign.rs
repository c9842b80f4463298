//! Messages of types that nobody here serves, when they fill the channel: the 2.0 kernel's sender
//! dropped those older than 10 s from a full one (`ipc/msg.c`), and no kernel does so any more.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::{Queue, Select};
use log::warn;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// How old a message must be to be dropped.
pub(crate) const AGE: Duration = Duration::from_secs(10);

/// The longest that the daemon sleeps without a look at its queue: SysV queues wake nobody who does
/// not receive, so a channel that others fill has to be looked at. With nothing else to do this is its
/// only wake-up, as often as kerneld's own alarm was by default.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What is remembered between two looks at the queue.
pub(crate) struct StaleMessages {
    queue: Queue,
    /// What the intake takes: nothing of that is stale.
    served: Select,
    next: Instant,
    pause: Duration,
    /// Foreign messages seen at the last look, by fingerprint: how many of each.
    seen: HashMap<u64, usize>,
}

impl StaleMessages {
    /// A first look comes [`AGE`] from now.
    pub(crate) fn new(queue: Queue, served: Select, now: Instant) -> Self {
        StaleMessages { queue, served, next: now + AGE, pause: AGE, seen: HashMap::new() }
    }

    /// Looks, if it is time: while the queue is empty ever more rarely, while it is not every [`AGE`].
    /// In a full one, drops what lay there at the last look too and is not `wanted`.
    /// Says when it wants to be called next.
    pub(crate) fn look(&mut self, now: Instant, wanted: impl Fn(i64) -> bool) -> Instant {
        if now < self.next {
            return self.next;
        }
        let stat = self.queue.stat();
        let used = stat.is_ok_and(|stat| stat.messages > 0);
        self.pause = if used { AGE } else { (self.pause * 2).min(LONGEST_SLEEP) };
        self.next = now + self.pause;
        if stat.is_ok_and(|stat| stat.full()) {
            self.drop_old(wanted);
        } else {
            self.seen.clear();
        }
        self.next
    }

    fn drop_old(&mut self, wanted: impl Fn(i64) -> bool) {
        let mut before = std::mem::take(&mut self.seen);
        let served = self.served;
        let dropped = self.queue.sift(|mtype, mtext| {
            if served.takes(mtype) || wanted(mtype) {
                return true;
            }
            let print = fingerprint(mtype, mtext);
            let old = before.get_mut(&print).filter(|count| **count > 0).map(|count| *count -= 1).is_some();
            if !old {
                *self.seen.entry(print).or_default() += 1;
            }
            !old
        });
        match dropped {
            Ok(0) => {}
            Ok(count) => warn!(
                "the channel was full: dropped {count} messages that nobody took in {} s",
                AGE.as_secs()
            ),
            Err(errno) => warn!("cannot clear the full channel: {}", errno.desc()),
        }
    }
}

fn fingerprint(mtype: i64, mtext: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (mtype, mtext).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_loses_what_was_there_before_and_keeps_the_rest() {
        let queue = Queue::create(0, 0o600).unwrap();
        let start = Instant::now();
        let mut stale = StaleMessages::new(queue, Select::UpTo(255), start);
        queue.send(700, b"wanted").unwrap();
        while queue.send(300, &[1; 512]).is_ok() {}
        stale.look(start + AGE, |mtype| mtype == 700);
        assert!(queue.stat().unwrap().full(), "at the first look all may be new");
        queue.try_receive(Select::Exactly(300), &mut Default::default()).unwrap();
        queue.send(300, &[2; 512]).unwrap();
        stale.look(start + 2 * AGE, |mtype| mtype == 700);
        let left = queue.stat().unwrap().messages;
        queue.remove().unwrap();
        assert_eq!(left, 2, "the wanted one and the new one");
    }

    #[test]
    fn an_empty_queue_is_looked_at_ever_more_rarely() {
        let queue = Queue::create(0, 0o600).unwrap();
        let start = Instant::now();
        let mut stale = StaleMessages::new(queue, Select::UpTo(255), start);
        let mut now = start;
        let looks = std::iter::from_fn(|| {
            let next = stale.look(now, |_| false);
            let pause = next - now;
            now = next;
            Some(pause.as_secs())
        });
        assert_eq!(looks.take(5).collect::<Vec<_>>(), [10, 20, 40, 60, 60]);
        queue.remove().unwrap();
    }
}
