//! Other processes that wait for messages on the queue: listeners of the old days, which have types of their own.
//!
//! The kernel does not say who waits on a queue, but `/proc/PID/task/TID/syscall` shows the call that a thread is in.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::Queue;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How often it is looked whether a process still waits: a client that has just been answered does not.
const LOOKS: u32 = 5;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The numbers of `msgrcv` (x86-64, and of i386 since Linux 5.1): the queue is its first argument.
const RECEIVE: [u64; 2] = [libc::SYS_msgrcv.cast_unsigned(), 401];

/// The number of i386's `ipc`, whose first argument says which call, and whose second is the queue.
const IPC: u64 = 117;

/// `msgrcv` in `ipc`'s first argument, whose upper bits are a version.
const IPC_RECEIVE: u64 = 12;

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
        *pid != std::process::id() && call.is_ok_and(|call| receives(&call, queue.id()))
    };
    threads.filter(waits).collect()
}

/// The entries of a directory that are numbers.
fn numbers(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether that is a `msgrcv` from the queue: a number and six arguments, in hexadecimal.
fn receives(call: &str, queue: i32) -> bool {
    let mut words = call.split_whitespace();
    let number = words.next().and_then(|number| number.parse::<u64>().ok());
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let arguments: Vec<u64> = words.filter_map(hex).collect();
    let (Some(number), [first, second, ..]) = (number, arguments.as_slice()) else { return false };
    let queue = u64::from(queue.cast_unsigned());
    RECEIVE.contains(&number) && *first == queue
        || number == IPC && first & 0xffff == IPC_RECEIVE && *second == queue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_msgrcv_from_the_queue_counts() {
        let native = format!("{} 0x2a 0x7ffd 0x404 0x12c 0x0 0x0 0x7ffd 0x7f", libc::SYS_msgrcv);
        assert!(receives(&native, 42) && !receives(&native, 43));
        assert!(receives("117 0x1000c 0x2a 0x404 0x0 0xffd 0x12c 0xffd 0xf7f", 42));
        assert!(!receives("117 0xb 0x2a 0x404 0x0 0xffd 0x12c 0xffd 0xf7f", 42));
        assert!(!receives("running", 42) && !receives("", 42));
    }

    #[test]
    fn a_thread_that_waits_is_found_and_ours_do_not_count() {
        let queue = Queue::create(0, 0o600).unwrap();
        let found = waiting(queue);
        queue.remove().unwrap();
        assert!(found.is_empty());
    }
}
