//! What a record of the journal costs: `cargo bench -p kerneld-journal [-- DIR]`.

use kerneld_journal::{DEFAULT_LIMIT, Journal, Started};
use kerneld_protocol::request::{Command, ReplyTo};
use kerneld_protocol::sender::Senders;
use kerneld_protocol::wire::Layout;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Requests; four records each.
const REQUESTS: u32 = 50_000;

fn main() {
    let dir = std::env::args_os().skip(1).find(|arg| !arg.to_string_lossy().starts_with('-'));
    let dir = tempfile::tempdir_in(dir.map_or(std::env::temp_dir(), PathBuf::from)).unwrap();
    let (journal, _) = Journal::open(dir.path(), DEFAULT_LIMIT, Started::now("bench", 1, 1)).unwrap();
    let pid = std::process::id();
    let reply = ReplyTo { id: 1024, layout: Layout::Lp64New, pid: pid as i16 };
    // A parent that lives: found by both hints.
    let parent = std::os::unix::process::parent_id().cast_signed();
    let of_parent = ReplyTo { pid: parent as i16, ..reply };
    let sender = Senders::default().find(&of_parent, Some(parent));
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        let request = journal.accepted(Command::RequestModule, b"net-pf-10", reply, sender.clone());
        journal.began(request, ["/sbin/modprobe", "-q", "--", "net-pf-10"], Some(77), pid);
        journal.finished(request, Some(Duration::from_micros(611)), 0, 0, [request]);
    }
    let record = begin.elapsed() / (4 * REQUESTS);
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        std::hint::black_box(Senders::default().find(&of_parent, Some(parent)));
    }
    println!(
        "{record:?} a record in {}, {:?} to find a sender",
        dir.path().display(),
        begin.elapsed() / REQUESTS
    );
}
