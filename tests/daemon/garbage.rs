//! Whatever is thrown at the queue, the daemon goes on, and nothing is run that was not asked for.

use crate::support::{Daemon, PATIENCE};
use kerneld_protocol::queue::{CAPACITY, Queue};
use kerneld_protocol::request::Command;
use nix::errno::Errno;

/// A small generator of its own, so that a failure can be repeated from the seed it prints.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn throw(queue: &Queue, mtype: i64, mut mtext: Vec<u8>) {
    // A short random text can happen to be a name that may be loaded: one byte that none may hold.
    if let Some(last) = mtext.last_mut() {
        *last = 1;
    }
    let start = std::time::Instant::now();
    while queue.send(mtype, &mtext) == Err(Errno::EAGAIN) {
        assert!(start.elapsed() < PATIENCE, "nobody makes room for a message of type {mtype}");
        std::thread::yield_now();
        // Answers to made-up ids fill the queue; their reader never comes.
        drain(queue);
    }
}

fn drain(queue: &Queue) {
    let mut buffer = kerneld_protocol::queue::Buffer::default();
    for _ in 0..64 {
        let any = kerneld_protocol::queue::Select::UpTo(i64::MAX);
        if queue.try_receive(any, &mut buffer) != Ok(true) {
            return;
        }
        if buffer.mtype() <= 255 {
            let mtext = buffer.mtext().to_vec();
            while queue.send(buffer.mtype(), &mtext) == Err(Errno::EAGAIN) {
                std::thread::yield_now();
            }
            return;
        }
    }
}

#[test]
fn every_length_and_every_type_of_noise_runs_nothing_and_stops_nothing() {
    let daemon = Daemon::start(&[]);
    let queue = daemon.queue();
    let seed = u64::from(std::process::id()) << 20 | 1;
    eprintln!("seed {seed}");
    let mut noise = Noise(seed);
    for len in 0..=CAPACITY {
        let mtype = 1 + (noise.next() % 255) as i64;
        throw(&queue, mtype, noise.bytes(len));
    }
    for mtype in 1..=255 {
        for len in [0, 1, 3, 4, 5, 8, 9, 12, 13, 64, 1024] {
            throw(&queue, mtype, noise.bytes(len));
        }
    }
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7);
    let run: Vec<_> = daemon.records().into_iter().map(|record| record.argv[1..].to_vec()).collect();
    assert_eq!(run, [["-q", "--", "exit7"]]);
}

#[test]
fn an_answer_that_would_be_taken_for_a_request_is_not_sent() {
    let daemon = Daemon::start(&[]);
    let reply =
        kerneld_protocol::request::ReplyTo { id: 2, layout: kerneld_protocol::wire::Layout::Lp64Old, pid: 0 };
    daemon.queue().send(2, &reply.answer(2, b"ppp")).unwrap();
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7);
    assert_eq!(daemon.records().len(), 1);
    assert!(daemon.log().contains("cannot be answered"));
}
