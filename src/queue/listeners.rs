//! Other processes that wait for messages on the queue: listeners of the old days, which have types of their own.
//!
//! The kernel does not say who waits on a queue, but `/proc/PID/task/TID/syscall` shows the call that a thread is in.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::Queue;
use kerneld_protocol::waiting::receives_from;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How often it is looked whether a process still waits: a client that has just been answered does not.
const LOOKS: u32 = 5;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The processes that wait for a message on the queue and go on waiting, each by its pid.
pub(crate) fn waiting(queue: Queue) -> BTreeSet<u32> {
    let mut waiting = threads_waiting(queue);
    for _ in 1..LOOKS {
        if waiting.is_empty() {
            break;
        }
        sleep(PAUSE);
        waiting = &waiting & &threads_waiting(queue);
    }
    waiting.into_iter().map(|(pid, _)| pid).collect()
}

/// Threads in `msgrcv`, by process and thread id.
fn threads_waiting(queue: Queue) -> BTreeSet<(u32, u32)> {
    let threads = numbers(Path::new("/proc")).into_iter().flat_map(|pid| {
        numbers(&Path::new("/proc").join(pid.to_string()).join("task")).into_iter().map(move |tid| (pid, tid))
    });
    let waits = |(pid, tid): &(u32, u32)| {
        // What may not be read belongs to another user, and what is gone waits no more.
        let call = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall"));
        *pid != std::process::id() && call.is_ok_and(|call| receives_from(&call) == Some(queue.id()))
    };
    threads.filter(waits).collect()
}

/// The entries of a directory that are numbers.
fn numbers(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
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
