//! Releases that wait for their time: no process and no thread each, only an entry. Pure.
#![forbid(unsafe_code)]

use crate::order::name::ModuleName;
use crate::order::task::Waiter;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

/// A delayed release: which module, and who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delayed {
    /// The module.
    pub(crate) name: ModuleName,
    /// Who gets the status.
    pub(crate) waiter: Waiter,
}

/// All that wait, by when they are due and, among equals, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    next: u64,
    by_time: BTreeMap<(Instant, u64), Delayed>,
    by_name: HashMap<ModuleName, BTreeSet<(Instant, u64)>>,
}

impl Delays {
    /// Lets a release wait until `due`.
    pub(crate) fn add(&mut self, name: ModuleName, waiter: Waiter, due: Instant) {
        let key = (due, self.next);
        self.next += 1;
        self.by_name.entry(name.clone()).or_default().insert(key);
        self.by_time.insert(key, Delayed { name, waiter });
    }

    /// Takes out those that wait for this module.
    pub(crate) fn cancel(&mut self, name: &ModuleName) -> Vec<Delayed> {
        let keys = self.by_name.remove(name).unwrap_or_default();
        keys.into_iter().filter_map(|key| self.by_time.remove(&key)).collect()
    }

    /// Takes out what is due.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Delayed> {
        let later = self.by_time.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.by_time, later);
        for (key, delayed) in &due {
            self.forget(key, &delayed.name);
        }
        due.into_values().collect()
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<Delayed> {
        std::mem::take(self).by_time.into_values().collect()
    }

    /// When [`Delays::due`] has something next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_time.keys().next().map(|(due, _)| *due)
    }

    /// All that wait, the one that is due last first.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = &Delayed> {
        self.by_time.values().rev()
    }

    fn forget(&mut self, key: &(Instant, u64), name: &ModuleName) {
        if let Some(keys) = self.by_name.get_mut(name) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::request::ReplyTo;
    use kerneld_protocol::wire::Layout;
    use std::time::Duration;

    fn name(text: &str) -> ModuleName {
        ModuleName::new(text.as_bytes()).unwrap()
    }

    fn add(delays: &mut Delays, text: &str, id: i32, due: Instant) {
        let reply = ReplyTo { id, layout: Layout::Lp64Old, pid: 0 };
        delays.add(name(text), Waiter { request: 0, reply }, due);
    }

    #[test]
    fn they_come_out_when_due_in_order() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        add(&mut delays, "b", 2, now + Duration::from_secs(2));
        add(&mut delays, "a", 1, now + Duration::from_secs(1));
        add(&mut delays, "a", 3, now + Duration::from_secs(1));
        assert_eq!(delays.next_deadline(), Some(now + Duration::from_secs(1)));
        assert!(delays.due(now).is_empty());
        let due = delays.due(now + Duration::from_secs(1));
        assert_eq!(due.iter().map(|delayed| delayed.waiter.reply.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(delays.by_name.len(), 1);
        assert_eq!(delays.latest_first().count(), 1);
    }

    #[test]
    fn cancelling_takes_all_of_one_name_and_no_other() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        for (text, id) in [("a", 1), ("b", 2), ("a", 3)] {
            add(&mut delays, text, id, now);
        }
        assert_eq!(delays.cancel(&name("a")).len(), 2);
        assert!(delays.cancel(&name("a")).is_empty());
        assert_eq!(delays.due(now).len(), 1);
    }
}
