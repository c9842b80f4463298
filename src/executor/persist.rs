//! Requests for persistent values, carried out one at a time: so two changes of a key happen in their
//! order, and the file has one writer.
#![forbid(unsafe_code)]

use crate::order::name::Refusal;
use crate::order::task::Waiter;
use kerneld_persist::record::BadRecord;
use kerneld_persist::{Store, StoreError, parse_get, parse_set};
use kerneld_protocol::queue::CAPACITY;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest value that an answer can carry, whatever its header.
const MAX_VALUE: usize = CAPACITY - 12;

/// What is asked, with the request's text.
#[derive(Clone, Debug)]
pub(crate) enum PersistRequest {
    /// A value.
    Get(Vec<u8>),
    /// A change.
    Set(Vec<u8>),
}

/// A value as the answer carries it: for a change, or for an unknown key, nothing.
pub(crate) type Value = Vec<u8>;

/// The requests that wait, the one that is being carried out first.
#[derive(Default)]
pub(crate) struct PersistQueue(Mutex<VecDeque<(PersistRequest, Waiter)>>);

impl PersistQueue {
    /// Adds a request. If this says true, nobody is carrying any out: the caller has to see to it that
    /// [`PersistQueue::carry_out`] is called.
    pub(crate) fn push(&self, request: PersistRequest, waiter: Waiter) -> bool {
        let mut queue = self.lock();
        queue.push_back((request, waiter));
        queue.len() == 1
    }

    /// Carries out what waits until nothing does. `answer` gets what became of each request; one that
    /// panics is refused with `EIO`, and the next one is carried out.
    pub(crate) fn carry_out(
        &self,
        store: impl Fn() -> Store,
        answer: impl Fn(Waiter, Result<Value, Refusal>),
    ) {
        let mut next = self.lock().front().cloned();
        while let Some((request, waiter)) = next {
            let done = catch_unwind(AssertUnwindSafe(|| request.carry_out(&store())));
            answer(waiter, done.unwrap_or_else(|_| Err(Refusal::new(libc::EIO, "an internal error"))));
            let mut queue = self.lock();
            queue.pop_front();
            next = queue.front().cloned();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(PersistRequest, Waiter)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PersistRequest {
    fn carry_out(&self, store: &Store) -> Result<Value, Refusal> {
        match self {
            PersistRequest::Get(text) => {
                let key = parse_get(text).map_err(invalid)?;
                let value = store.get(&key).map_err(no_store)?.unwrap_or_default();
                if value.len() > MAX_VALUE {
                    return Err(Refusal::new(libc::E2BIG, "the value is longer than a message may be"));
                }
                Ok(value)
            }
            PersistRequest::Set(text) => {
                let change = parse_set(text).map_err(invalid)?;
                store.apply(change.as_slice()).map_err(no_store).map(|()| Value::new())
            }
        }
    }
}

fn invalid(bad: BadRecord) -> Refusal {
    Refusal::new(libc::EINVAL, bad.to_string())
}

fn no_store(error: StoreError) -> Refusal {
    Refusal::new(error.errno(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::request::ReplyTo;
    use kerneld_protocol::wire::Layout;
    use std::cell::{Cell, RefCell};

    fn waiter(request: u64) -> Waiter {
        Waiter { request, reply: ReplyTo { id: 1000, layout: Layout::Lp64New, pid: 1 } }
    }

    #[test]
    fn a_request_that_panics_is_answered_and_those_behind_it_are_served() {
        let queue = PersistQueue::default();
        assert!(queue.push(PersistRequest::Get(b"a\0".to_vec()), waiter(1)));
        assert!(!queue.push(PersistRequest::Get(b"".to_vec()), waiter(2)));
        let first = Cell::new(true);
        let store = || if first.take() { panic!("no store") } else { Store::new("/nonexistent/file") };
        let told = RefCell::new(Vec::new());
        queue.carry_out(store, |waiter, done| {
            told.borrow_mut().push((waiter.request, done.unwrap_err().errno));
        });
        assert_eq!(told.into_inner(), [(1, libc::EIO), (2, libc::EINVAL)]);
        assert!(queue.push(PersistRequest::Get(b"".to_vec()), waiter(3)), "nothing is left");
    }
}
