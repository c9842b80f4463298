//! Other processes that wait for messages on the queue: listeners of the old days, which have types of their own.
//!
//! The kernel does not say who waits on a queue, but shows the call that a thread is in.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::Queue;
use kerneld_protocol::waiting::threads_waiting;
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

/// How often it is looked whether a process still waits: a client that has just been answered does not.
const LOOKS: u32 = 5;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The processes that wait for a message on the queue and go on waiting, each by its pid.
pub(crate) fn waiting(queue: Queue) -> BTreeSet<u32> {
    let look = || {
        let mut threads = threads_waiting(queue.id());
        threads.retain(|(pid, _)| *pid != std::process::id());
        threads
    };
    let mut waiting = look();
    for _ in 1..LOOKS {
        if waiting.is_empty() {
            break;
        }
        sleep(PAUSE);
        waiting = &waiting & &look();
    }
    waiting.into_iter().map(|(pid, _)| pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_is_found_and_ours_do_not_count() {
        let queue = Queue::create(0, 0o600).unwrap();
        let found = waiting(queue);
        queue.remove().unwrap();
        assert!(found.is_empty());
    }
}
