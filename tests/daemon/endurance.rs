//! Many requests, one after another: the old kerneld lost 7 of 3,000 wake-ups.
//!
//! `KERNELD_TEST_REQUESTS` says how many; 100,000 take some minutes.

use crate::support::{Daemon, PATIENCE, fresh_key};
use kerneld_protocol::queue::{Buffer, Select};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::{Layout, Message};
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// The old kerneld would have lost seven of these.
const USUAL: usize = 3000;

fn wanted() -> usize {
    let given = std::env::var("KERNELD_TEST_REQUESTS").ok();
    given.map_or(USUAL, |number| number.parse().expect("KERNELD_TEST_REQUESTS is a number"))
}

#[test]
fn thousands_of_requests_are_all_answered() {
    let requests = wanted();
    let daemon = Daemon::start_in(TempDir::new().unwrap(), fresh_key(), &["--modprobe=/bin/false"]);
    let queue = daemon.queue();
    let (progress, watched) = channel();
    let asking = std::thread::spawn(move || {
        let mut buffer = Buffer::default();
        for round in 0..requests {
            let layout = Layout::ALL[round % Layout::ALL.len()];
            let reply = ReplyTo { id: 5000 + (round % 1000) as i32, layout, pid: 0 };
            queue.send(2, &reply.answer(reply.id, b"ppp")).unwrap();
            queue.receive(Select::Exactly(i64::from(reply.id)), &mut buffer).unwrap();
            assert_eq!(Message::decode_as(layout, buffer.mtext()).unwrap().id, 1);
            progress.send(()).unwrap();
        }
    });
    // Each answer is waited for on its own: one lost wake-up would show as silence.
    for round in 0..requests {
        let answered = watched.recv_timeout(PATIENCE);
        assert!(answered.is_ok(), "request {round} got no answer");
    }
    asking.join().unwrap();
}
