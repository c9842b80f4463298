//! Many messages at once: what one costs does not grow with how many wait.

use crate::support::{Daemon, fresh_key, wait_for};
use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::Layout;
use kerneld_test_support::as_root;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::time::Duration;

const REQUESTS: u32 = 40_000;

/// Processor time that the intake has used, in ticks of 10 ms.
fn ticks(intake: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{intake}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn send(queue: Queue, mtext: &[u8]) {
    while queue.send(8, mtext) == Err(Errno::EAGAIN) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What reading all requests costs the intake when the queue holds so many bytes.
fn cost(capacity: u64) -> u64 {
    let daemon = Daemon::start(&[]);
    let (queue, intake) = (daemon.queue(), daemon.intake());
    queue.set_capacity(capacity).unwrap();
    let mtext = ReplyTo { id: 0, layout: Layout::Lp64Old, pid: 0 }.answer(0, b"flood");
    (0..REQUESTS).for_each(|_| send(queue, &mtext));
    let last = ReplyTo { id: 4711, layout: Layout::Lp64Old, pid: 0 };
    send(queue, &last.answer(last.id, b"last"));
    wait_for("the last answer", || queue.try_receive(Select::Exactly(4711), &mut Buffer::default()).unwrap());
    ticks(intake)
}

/// Lets this thread have an IPC namespace of its own whose queues may hold a mebibyte, as root's may where it
/// has all capabilities.
fn roomy() -> bool {
    as_root()
        && unshare(CloneFlags::CLONE_NEWIPC).is_ok()
        && std::fs::write("/proc/sys/kernel/msgmnb", "1048576").is_ok()
}

#[test]
fn a_long_queue_costs_what_a_short_one_does() {
    if !roomy() {
        return;
    }
    assert!(Queue::open(fresh_key()).is_err(), "a namespace of our own");
    let (short, long) = (cost(16 << 10), cost(1 << 20));
    eprintln!("{REQUESTS} requests cost {short} ticks through 16 KiB, {long} through 1 MiB");
    // Thirty times as much when each message has the whole queue walked.
    assert!(long <= 3 * short.max(20), "{short} ticks through 16 KiB, {long} through 1 MiB");
}
