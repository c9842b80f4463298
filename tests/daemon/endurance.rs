//! Many requests, one after another: the old kerneld lost 7 of 3,000 wake-ups.

use crate::support::{Daemon, PATIENCE, fresh_key};
use kerneld_protocol::queue::{Buffer, Select};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::{Layout, Message};
use std::sync::mpsc::channel;
use tempfile::TempDir;

#[test]
fn a_hundred_thousand_requests_are_all_answered() {
    let daemon = Daemon::start_in(TempDir::new().unwrap(), fresh_key(), &["--modprobe=/bin/false"]);
    let queue = daemon.queue();
    let (progress, watched) = channel();
    let asking = std::thread::spawn(move || {
        let mut buffer = Buffer::default();
        for round in 0..100_000 {
            let layout = Layout::ALL[round % 4];
            let reply = ReplyTo { id: 5000 + (round % 1000) as i32, layout, pid: 0 };
            queue.send(2, &reply.answer(reply.id, b"ppp")).unwrap();
            queue.receive(Select::Exactly(i64::from(reply.id)), &mut buffer).unwrap();
            assert_eq!(Message::decode_as(layout, buffer.mtext()).unwrap().id, 1);
            progress.send(()).unwrap();
        }
    });
    // Each answer is waited for on its own: one lost wake-up would show as silence.
    for round in 0..100_000 {
        let answered = watched.recv_timeout(PATIENCE);
        assert!(answered.is_ok(), "request {round} got no answer");
    }
    asking.join().unwrap();
}
