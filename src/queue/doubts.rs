//! Answers that may have been given already: between sending an answer and writing that down, a daemon may be
//! killed, and its successor cannot know from the journal alone whether the client has it. An old client asks
//! under the same id again and again, so a second answer would be taken for that to its next request. Pure, but for [`Sender::of`].
#![forbid(unsafe_code)]

use super::outbox::Due;
use crate::order::task::Waiter;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a living client may be seen not to wait before it is answered all the same: it may be one that
/// looks for its answer now and then.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that a daemon before us left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The request.
    pub(crate) waiter: Waiter,
    /// The process that sent it, if that is certain.
    pub(crate) sender: Option<i32>,
}

/// An answer that is held back, and since when its client has been seen not to wait.
#[derive(Debug)]
struct Held {
    due: Due,
    idle_since: Option<Instant>,
}

/// What is known of clients at one moment, after every request that was sent before has been taken in.
pub(crate) struct Seen<'a> {
    /// The moment.
    pub(crate) now: Instant,
    /// The types that somebody waits for.
    pub(crate) awaited: &'a [i32],
    /// Whether an answer of this type lies on the queue.
    pub(crate) lies: &'a dyn Fn(i64) -> bool,
    /// Whether this process is there, and whether it is stopped.
    pub(crate) state: &'a dyn Fn(i32) -> Sender,
}

/// How a process is that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// There is none.
    Gone,
    /// A signal has stopped it: it will do nothing until it is continued.
    Stopped,
    /// It lives.
    Alive,
}

impl Sender {
    /// Of the process with this pid.
    pub(crate) fn of(pid: i32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        match stat.rsplit_once(") ").and_then(|(_, fields)| fields.bytes().next()) {
            None | Some(b'Z' | b'X') => Sender::Gone,
            Some(b'T' | b't') => Sender::Stopped,
            Some(_) => Sender::Alive,
        }
    }
}

/// What became of an answer that was held back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its client waits for it.
    Owed(Due),
    /// Its client has had one, or is gone.
    Settled(Due),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    open: HashMap<u64, Doubt>,
    /// Requests in doubt by the id of their answer: the latest of each.
    by_id: HashMap<i32, u64>,
    held: Vec<Held>,
}

impl Doubts {
    /// In doubt about these requests, which come in the order in which they were sent. Of several under one
    /// id only the last can still wait.
    pub(crate) fn new(doubts: impl IntoIterator<Item = Doubt>) -> Self {
        let open: HashMap<_, _> = doubts
            .into_iter()
            .filter(|doubt| doubt.waiter.reply.wanted())
            .map(|doubt| (doubt.waiter.request, doubt))
            .collect();
        let mut by_id = HashMap::new();
        for doubt in open.values() {
            let latest: &mut u64 = by_id.entry(doubt.waiter.reply.id).or_default();
            *latest = doubt.waiter.request.max(*latest);
        }
        Doubts { open, by_id, held: Vec::new() }
    }

    /// A new request came under this id: whoever asks so has had the answers to all requests before.
    pub(crate) fn renewed(&mut self, id: i32) {
        self.by_id.remove(&id);
    }

    /// Holds an answer back if it is in doubt, else gives it back.
    pub(crate) fn hold(&mut self, due: Due) -> Option<Due> {
        if !self.open.contains_key(&due.waiter.request) {
            return Some(due);
        }
        self.held.push(Held { due, idle_since: None });
        None
    }

    /// Whether answers are held back.
    pub(crate) fn any_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether nothing is in doubt.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Decides on the answers that are held back, as far as they can be decided now.
    pub(crate) fn decide(&mut self, seen: &Seen) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for mut held in std::mem::take(&mut self.held) {
            let request = held.due.waiter.request;
            let Some(doubt) = self.open.get(&request).copied() else { continue };
            match self.is_owed(doubt, &mut held.idle_since, seen) {
                None => self.held.push(held),
                Some(owed) => {
                    self.open.remove(&request);
                    verdicts.push(if owed { Verdict::Owed(held.due) } else { Verdict::Settled(held.due) });
                }
            }
        }
        verdicts
    }

    /// `None` while that is not known.
    fn is_owed(&self, doubt: Doubt, idle_since: &mut Option<Instant>, seen: &Seen) -> Option<bool> {
        let Waiter { request, reply } = doubt.waiter;
        if self.by_id.get(&reply.id) != Some(&request) {
            return Some(false);
        }
        let mtype = i64::from(reply.id);
        if seen.awaited.contains(&reply.id) || (seen.lies)(mtype) {
            return Some(true);
        }
        match doubt.sender.map(seen.state) {
            Some(Sender::Gone) => return Some(false),
            Some(Sender::Stopped) => *idle_since = None,
            Some(Sender::Alive) | None => {}
        }
        let since = *idle_since.get_or_insert(seen.now);
        (seen.now >= since + PATIENCE).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::request::ReplyTo;
    use kerneld_protocol::wire::Layout;

    fn waiter(request: u64, id: i32) -> Waiter {
        Waiter { request, reply: ReplyTo { id, layout: Layout::Lp64Old, pid: 0 } }
    }

    fn due(request: u64, id: i32) -> Due {
        Due { waiter: waiter(request, id), job: None, status: 3, text: Vec::new() }
    }

    fn doubts(requests: &[(u64, i32)]) -> Doubts {
        let doubt = |(request, id): &(u64, i32)| Doubt { waiter: waiter(*request, *id), sender: Some(77) };
        let mut doubts = Doubts::new(requests.iter().map(doubt));
        for (request, id) in requests {
            assert_eq!(doubts.hold(due(*request, *id)), None);
        }
        doubts
    }

    fn decided(
        doubts: &mut Doubts,
        awaited: &[i32],
        lies: bool,
        state: Sender,
        now: Instant,
    ) -> Vec<(u64, bool)> {
        let seen = Seen { now, awaited, lies: &|_| lies, state: &|_| state };
        let verdicts = doubts.decide(&seen).into_iter().map(|verdict| match verdict {
            Verdict::Owed(due) => (due.waiter.request, true),
            Verdict::Settled(due) => (due.waiter.request, false),
        });
        verdicts.collect()
    }

    #[test]
    fn one_who_waits_is_answered() {
        let mut doubts = doubts(&[(1, 1000), (2, 1001)]);
        let now = Instant::now();
        assert_eq!(decided(&mut doubts, &[1001], false, Sender::Alive, now), [(2, true)]);
        assert!(doubts.any_held() && !doubts.is_empty());
        assert_eq!(decided(&mut doubts, &[1000], false, Sender::Alive, now), [(1, true)]);
        assert!(!doubts.any_held() && doubts.is_empty());
    }

    #[test]
    fn one_who_has_asked_again_has_had_the_answer() {
        let mut doubts = doubts(&[(1, 1000)]);
        doubts.renewed(1000);
        assert_eq!(decided(&mut doubts, &[1000], false, Sender::Alive, Instant::now()), [(1, false)]);
        assert_eq!(doubts.hold(due(9, 1000)), Some(due(9, 1000)), "the new request is not in doubt");
    }

    #[test]
    fn of_several_under_one_id_only_the_last_can_wait() {
        let mut doubts = doubts(&[(1, 1000), (2, 1000)]);
        let now = Instant::now();
        assert_eq!(decided(&mut doubts, &[1000], false, Sender::Alive, now), [(1, false), (2, true)]);
    }

    #[test]
    fn an_answer_that_lies_there_is_given_once_more_in_its_place() {
        let mut doubts = doubts(&[(1, 1000)]);
        assert_eq!(decided(&mut doubts, &[], true, Sender::Stopped, Instant::now()), [(1, true)]);
    }

    #[test]
    fn nobody_is_answered_who_is_gone() {
        let mut doubts = doubts(&[(1, 1000)]);
        assert_eq!(decided(&mut doubts, &[], false, Sender::Gone, Instant::now()), [(1, false)]);
    }

    #[test]
    fn one_who_looks_now_and_then_is_answered_late_and_a_stopped_one_not_at_all() {
        let mut doubts = doubts(&[(1, 1000)]);
        let start = Instant::now();
        assert_eq!(decided(&mut doubts, &[], false, Sender::Alive, start), []);
        assert_eq!(decided(&mut doubts, &[], false, Sender::Stopped, start + 2 * PATIENCE), []);
        assert_eq!(decided(&mut doubts, &[], false, Sender::Alive, start + 2 * PATIENCE), []);
        assert_eq!(decided(&mut doubts, &[], false, Sender::Alive, start + 3 * PATIENCE), [(1, true)]);
    }
}
