//! Programs of both byte orders and word sizes get their answers, also where a request's bytes allow two
//! readings.

use crate::support::{Daemon, wait_for};
use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::waiting::awaited;
use kerneld_protocol::wire::{Layout, Message};
use std::process::Command;
use std::thread;

/// Ids that old programs had, of which some are others in the other byte order or look like a version.
const IDS: [i32; 8] = [1025, 0x0500, 0x8000, 0x01_0000, 0x02_0100, 0x02_1234, 0x3f_0800, 0x7fff_0100];

/// Sends as an old program and waits for the answer at once; its status, which must be in the same layout.
fn ask(queue: Queue, layout: Layout, id: i32) -> i64 {
    let pid = if layout.has_pid() { 77 } else { 0 };
    let waiting = thread::spawn(move || {
        let mut buffer = Buffer::default();
        queue.receive(Select::Exactly(id.into()), &mut buffer).unwrap();
        let message = Message::decode_as(layout, buffer.mtext()).unwrap();
        assert_eq!((message.pid, message.text), (pid, &b""[..]), "{layout} {id:#x}");
        message.id
    });
    // On a busy machine it may take longer to begin to wait than the daemon looks for it.
    wait_for("a client that waits", || awaited(queue.id()).contains(&id));
    queue.send(2, &ReplyTo { id, layout, pid }.answer(id, b"exit7")).unwrap();
    waiting.join().unwrap()
}

#[test]
fn every_layout_is_answered_in_kind_under_every_id() {
    let daemon = Daemon::start(&[]);
    for layout in Layout::ALL {
        for id in IDS {
            assert_eq!(ask(daemon.queue(), layout, id), 7, "{layout} {id:#x}");
        }
    }
}

#[test]
fn twenty_of_all_kinds_at_once_are_answered_in_kind() {
    let daemon = Daemon::start(&[]);
    let clients: Vec<_> = (0..20)
        .map(|number| {
            let queue = daemon.queue();
            thread::spawn(move || ask(queue, Layout::ALL[number % 8], 0x02_0100 + (number as i32) * 0x100))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 7);
    }
}

/// A request that nobody is seen to wait for, by the type under which its answer then lies in the queue.
fn answered_under(daemon: &Daemon, sender: impl FnOnce(&Queue, &[u8])) -> i64 {
    let queue = daemon.queue();
    let mtext = ReplyTo { id: 0x02_0100, layout: Layout::Ilp32Old, pid: 0 }.answer(0x02_0100, b"exit7");
    sender(&queue, &mtext);
    // Both are answers, and the only ones.
    let mut buffer = Buffer::default();
    crate::support::wait_for("the answer", || {
        [0x02_0100, 0x01_0200]
            .into_iter()
            .any(|id| queue.try_receive(Select::Exactly(id), &mut buffer).unwrap())
    });
    buffer.mtype()
}

#[test]
fn where_nobody_waits_the_smaller_id_is_answered_unless_the_byte_order_is_configured() {
    for (settings, expected) in [
        ("", 0x01_0200),
        ("[queue]\nbyte-order = \"little\"\n", 0x02_0100),
        ("[queue]\nbyte-order = \"big\"\n", 0x01_0200),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kerneld.toml");
        std::fs::write(&file, settings).unwrap();
        let daemon = Daemon::start(&["--config", file.to_str().unwrap()]);
        let answered = answered_under(&daemon, |queue, mtext| queue.send(2, mtext).unwrap());
        assert_eq!(answered, expected, "{settings}");
    }
}

/// python3, for the message must come from a process of this environment.
const SENDER: &str = "
import ctypes, sys, time
mtext = bytes.fromhex(sys.argv[2])
message = ctypes.create_string_buffer(ctypes.c_long(2).value.to_bytes(8, sys.byteorder) + mtext)
assert ctypes.CDLL(None).msgsnd(int(sys.argv[1]), message, ctypes.c_size_t(len(mtext)), 0) == 0
sys.stdin.read()
";

#[test]
fn where_nobody_waits_the_senders_environment_decides() {
    if !kerneld_test_support::have_program("python3") {
        return;
    }
    let daemon = Daemon::start(&[]);
    for (layout, expected) in [(Layout::Ilp32Old, 0x02_0100), (Layout::Ilp32OldBe, 0x01_0200)] {
        let mut sender = None;
        let answered = answered_under(&daemon, |queue, mtext| {
            let hex: String = mtext.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut python = Command::new("python3");
            let python = python.args(["-c", SENDER, &queue.id().to_string(), &hex]);
            let python = python.env("KERNELD_LAYOUT", layout.name()).stdin(std::process::Stdio::piped());
            sender = Some(python.spawn().unwrap());
        });
        assert!(sender.unwrap().wait_with_output().unwrap().status.success());
        assert_eq!(answered, expected, "{layout}");
    }
}
