//! Messages of types that the daemon does not serve, when they fill the queue: the 2.0 kernel's sender
//! dropped those older than 10 s from a full one (`ipc/msg.c`), and no kernel does so any more.
//!
//! They are looked at where they lie. Only what is to be dropped is taken off the queue, by its type, so
//! no request is ever off the queue on account of this.
#![forbid(unsafe_code)]

use super::ownership::OwnQueue;
use kerneld_protocol::queue::{Buffer, Queue, Select};
use log::warn;
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How old a message must be to be dropped.
const AGE: Duration = Duration::from_secs(10);

/// The longest that the daemon sleeps without a look at its queue: SysV queues wake nobody who does
/// not receive, so a queue that others fill has to be looked at. With nothing else to do this is its
/// only wake-up, as often as kerneld's own alarm was by default.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Messages that are looked at, counted from the oldest, and left where they are. Looking at the N-th one
/// costs the kernel N steps, so this bounds a look at some ten thousandths of a second for each.
const WINDOW: usize = 2048;

/// What is remembered between two looks at the queue.
pub(crate) struct ForeignMessages {
    queue: Arc<OwnQueue>,
    next: Instant,
    pause: Duration,
    /// Foreign messages seen at the last look, by fingerprint: how many of each.
    seen: HashMap<u64, usize>,
}

impl ForeignMessages {
    /// A first look comes 10 s from now.
    pub(crate) fn new(queue: Arc<OwnQueue>, now: Instant) -> Self {
        ForeignMessages { queue, next: now + AGE, pause: AGE, seen: HashMap::new() }
    }

    /// Looks, if it is time: ever more rarely while the queue is empty, every 10 s while it is not. Drops
    /// what is older than that from a full one, except for types that are `ours`. Says when it wants to be
    /// called next.
    pub(crate) fn look(&mut self, now: Instant, ours: impl Fn(i64) -> bool) -> Instant {
        if now < self.next {
            return self.next;
        }
        let stat = self.queue.now().stat();
        let used = stat.is_ok_and(|stat| stat.messages > 0);
        self.pause = if used { AGE } else { (self.pause * 2).min(LONGEST_SLEEP) };
        self.next = now + self.pause;
        match stat {
            // Nobody has found room since: everything on the queue is that old.
            Ok(stat) if stat.full() && is_past(stat.last_sent) => {
                tell(drop_foreign(self.queue.now(), ours, |_| true))
            }
            Ok(stat) if stat.full() => self.drop_seen(ours),
            _ => self.seen.clear(),
        }
        self.next
    }

    fn drop_seen(&mut self, ours: impl Fn(i64) -> bool) {
        let mut before = std::mem::take(&mut self.seen);
        // Those of a type lie in the order in which they came: past a young one there is no old one.
        let mut young = HashSet::new();
        let seen = &mut self.seen;
        tell(drop_foreign(self.queue.now(), ours, |message| {
            let print = fingerprint(message);
            let old = !young.contains(&message.mtype())
                && before.get_mut(&print).filter(|count| **count > 0).map(|count| *count -= 1).is_some();
            if !old {
                young.insert(message.mtype());
                *seen.entry(print).or_default() += 1;
            }
            old
        }));
    }
}

/// Drops messages of types that are not `ours` and that `is_to_go`; returns how many.
///
/// # Errors
/// `ENOSYS` where the kernel cannot show what lies on a queue; `EIDRM` or `EINVAL` when the queue is gone.
pub(crate) fn drop_foreign(
    queue: Queue,
    ours: impl Fn(i64) -> bool,
    mut is_to_go: impl FnMut(&Buffer) -> bool,
) -> Result<usize, Errno> {
    let (mut looked_at, mut taken) = (Buffer::default(), Buffer::default());
    let (mut place, mut dropped) = (0, 0);
    // What comes meanwhile is not looked at.
    for _ in 0..queue.stat()?.messages {
        if place == WINDOW || !queue.peek(place, &mut looked_at)? {
            break;
        }
        let mtype = looked_at.mtype();
        if !ours(mtype) && is_to_go(&looked_at) {
            dropped += usize::from(queue.try_receive(Select::Exactly(mtype), &mut taken)?);
        } else {
            place += 1;
        }
    }
    Ok(dropped)
}

fn tell(dropped: Result<usize, Errno>) {
    match dropped {
        Ok(0) => {}
        Ok(count) => {
            warn!("the queue was full: dropped {count} messages that nobody took in {} s", AGE.as_secs());
        }
        Err(errno) => warn!("cannot clear the full queue: {}", errno.desc()),
    }
}

/// Whether this second of the clock lies so far back that every message sent by then is old.
fn is_past(second: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(second).is_ok_and(|second| Duration::from_secs(second + 1) + AGE <= now)
}

fn fingerprint(message: &Buffer) -> u64 {
    let mut hasher = DefaultHasher::new();
    (message.mtype(), message.mtext()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_queue(test: impl FnOnce(Queue)) {
        let queue = Queue::create(0, 0o600).unwrap();
        test(queue);
        queue.remove().unwrap();
    }

    fn own(queue: Queue) -> Arc<OwnQueue> {
        Arc::new(OwnQueue::new(0, queue))
    }

    fn ours(mtype: i64) -> bool {
        mtype == 700 || mtype < 256
    }

    #[test]
    fn a_full_queue_loses_what_was_there_before_and_keeps_the_rest() {
        with_queue(|queue| {
            let start = Instant::now();
            let mut foreign = ForeignMessages::new(own(queue), start);
            queue.send(700, b"wanted").unwrap();
            while queue.send(300, &[1; 512]).is_ok() {}
            foreign.look(start + AGE, ours);
            assert!(queue.stat().unwrap().full(), "at the first look all may be new");
            queue.try_receive(Select::Exactly(300), &mut Default::default()).unwrap();
            queue.send(300, &[2; 512]).unwrap();
            foreign.look(start + 2 * AGE, ours);
            assert_eq!(queue.stat().unwrap().messages, 2, "the wanted one and the new one");
        });
    }

    #[test]
    fn requests_and_answers_stay_on_the_queue_while_others_are_dropped() {
        with_queue(|queue| {
            for _ in 0..100 {
                for mtype in [2, 300, 700, 301] {
                    queue.send(mtype, b"text").unwrap();
                }
            }
            assert_eq!(drop_foreign(queue, ours, |_| true), Ok(200));
            // Whatever was taken off and put back would be the last one now.
            let (mut buffer, mut types) = (Buffer::default(), Vec::new());
            while queue.try_receive(Select::Any, &mut buffer).unwrap() {
                types.push(buffer.mtype());
            }
            assert_eq!(types, [2, 700].repeat(100));
        });
    }

    #[test]
    fn what_stays_is_looked_at_so_far_and_no_further() {
        with_queue(|queue| {
            (0..WINDOW).for_each(|_| queue.send(2, b"").unwrap());
            queue.send(300, b"").unwrap();
            assert_eq!(drop_foreign(queue, ours, |_| true), Ok(0));
            queue.try_receive(Select::Exactly(2), &mut Buffer::default()).unwrap();
            assert_eq!(drop_foreign(queue, ours, |_| true), Ok(1));
        });
    }

    #[test]
    fn all_is_old_ten_seconds_after_the_last_was_sent() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!(is_past(now - 11) && !is_past(now - 9) && !is_past(now + 1000));
    }

    #[test]
    fn an_empty_queue_is_looked_at_ever_more_rarely() {
        with_queue(|queue| {
            let mut now = Instant::now();
            let mut foreign = ForeignMessages::new(own(queue), now);
            let looks = std::iter::from_fn(|| {
                let next = foreign.look(now, |_| false);
                let pause = next - now;
                now = next;
                Some(pause.as_secs())
            });
            assert_eq!(looks.take(5).collect::<Vec<_>>(), [10, 20, 40, 60, 60]);
        });
    }
}
