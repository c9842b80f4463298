//! Somebody has taken the intake over, and speaks to the executor in its place.

use crate::ring::{CAPACITY, Captured, HEAD, SLOT};
use crate::support::{Daemon, wait_for};
use kerneld_protocol::request::{Command, ReplyTo};
use kerneld_protocol::wire::Layout;
use kerneld_test_support::as_root;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What must stay as it was, whatever the intake does.
struct Before {
    descriptors: usize,
    kilobytes: u64,
}

impl Before {
    fn of(daemon: &Daemon) -> Self {
        assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
        Before { descriptors: descriptors(daemon), kilobytes: resident(daemon) }
    }

    /// The daemon lives, answers, and is as small as before.
    fn check(&self, daemon: &Daemon) {
        assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7, "it still serves");
        wait_for("descriptors to be closed", || descriptors(daemon) <= self.descriptors);
        let grown = resident(daemon).saturating_sub(self.kilobytes);
        assert!(grown < 4096, "grown by {grown} KiB");
        assert!(!daemon.log().contains("internal error"), "{}", daemon.log());
    }
}

fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.process.id())).unwrap().count()
}

fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn request(id: i32, text: &[u8]) -> Vec<u8> {
    ReplyTo { id, layout: Layout::Lp64Old, pid: 0 }.answer(id, text)
}

/// What was run, but for what `Before` asks for itself.
fn names(daemon: &Daemon) -> Vec<String> {
    let names = daemon.records().into_iter().filter_map(|record| record.argv.last().cloned());
    names.filter(|name| !["exit3", "exit7"].contains(&&**name)).collect()
}

#[test]
fn an_honest_message_is_carried_out() {
    let daemon = Daemon::start(&[]);
    let mut captured = Captured::new(&daemon);
    assert!(captured.pass(2, &request(0, b"honest")));
    wait_for("the helper", || names(&daemon) == ["honest"]);
}

#[test]
fn a_length_beyond_the_slot_ends_the_intake() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    for length in [CAPACITY as u32 + 1, i32::MAX as u32, u32::MAX] {
        let mut captured = Captured::new(&daemon);
        captured.write(2, &request(0, b"long"));
        captured.publish(length);
        captured.wait_for_the_next();
    }
    before.check(&daemon);
    assert_eq!(names(&daemon).len(), 0);
}

#[test]
fn a_slot_that_is_neither_free_nor_full_ends_the_intake() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    for turn in [u32::MAX, 0x7fff_ffff, 12345] {
        let captured = Captured::new(&daemon);
        captured.slot(0).store(turn, Ordering::SeqCst);
        captured.ring();
        captured.wait_for_the_next();
    }
    before.check(&daemon);
}

#[test]
fn types_that_are_not_served_end_the_intake() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    for mtype in [300, 0, -2, i64::MIN, i64::MAX] {
        let mut captured = Captured::new(&daemon);
        captured.pass(mtype, &request(0, b"foreign"));
        captured.wait_for_the_next();
    }
    before.check(&daemon);
    assert_eq!(names(&daemon).len(), 0);
}

#[test]
fn an_answer_that_would_come_back_as_a_request_is_not_given() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    for id in [2, 255, -1, i32::MIN] {
        let mut captured = Captured::new(&daemon);
        captured.pass(2, &request(id, b"loop"));
        captured.wait_for_the_next();
    }
    before.check(&daemon);
    assert_eq!(names(&daemon).len(), 0, "nothing is run for whom nobody can answer");
}

#[test]
fn the_executor_judges_every_text_itself() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let mut captured = Captured::new(&daemon);
    let texts: [&[u8]; 6] = [b"-C/tmp/x", b"a;b", b"$(id)", b"../../x", &[b'x'; 56], &[0xff; CAPACITY - 8]];
    for text in texts {
        for mtype in [2, 3, 4] {
            assert!(captured.pass(mtype, &request(0, text)), "a client could send that as well");
        }
    }
    assert!(captured.pass(1, &request(0, b"touch /tmp/x")));
    assert!(captured.pass(6, &request(0, b"1.2.3.4; reboot")));
    drop(captured);
    before.check(&daemon);
    assert_eq!(names(&daemon).len(), 0);
}

#[test]
fn a_text_that_changes_while_it_is_read_is_judged_as_it_is_run() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let mut captured = Captured::new(&daemon);
    for _ in 0..300 {
        let (good, bad) = (request(0, b"good"), request(0, b"-C/t"));
        if !captured.pass(2, &good) {
            break;
        }
        // The slot that was just passed on; what the next pass finds is what the executor left.
        let word = |bytes: &[u8]| u32::from_ne_bytes(bytes[8..12].try_into().unwrap());
        let slot = captured.words[HEAD..].chunks(SLOT).find(|slot| slot[0].load(Ordering::SeqCst) & 1 == 1);
        for _ in 0..100 {
            let Some(slot) = slot else { break };
            slot[8].store(word(&bad), Ordering::Relaxed);
            slot[8].store(word(&good), Ordering::Relaxed);
        }
    }
    drop(captured);
    before.check(&daemon);
    assert!(names(&daemon).iter().all(|name| name == "good"), "{:?}", names(&daemon));
}

#[test]
fn thousands_of_the_largest_messages_do_not_make_it_grow() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let mut captured = Captured::new(&daemon);
    let largest = [request(0, b""), vec![b'y'; CAPACITY - 8]].concat();
    for mtype in [1, 2, 8, 255].repeat(500) {
        assert!(captured.pass(mtype, &largest));
    }
    drop(captured);
    before.check(&daemon);
}

#[test]
fn a_bell_that_rings_for_nothing_ends_the_intake() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let captured = Captured::new(&daemon);
    wait_for("it to be ended", || {
        (0..1000).for_each(|_| captured.ring());
        captured.is_gone()
    });
    captured.wait_for_the_next();
    drop(captured);
    before.check(&daemon);
}

#[test]
fn one_that_says_nothing_is_replaced() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let captured = Captured::new(&daemon);
    // Nobody is there to read it, and no bell that would wake the executor.
    captured.words[crate::ring::BELL + 1].store(0, Ordering::SeqCst);
    assert_eq!(daemon.queue().send(2, &request(0, b"unread")), Ok(()));
    captured.wait_for_the_next();
    drop(captured);
    wait_for("the helper", || names(&daemon) == ["unread"]);
    before.check(&daemon);
}

#[test]
fn words_for_the_intake_alone_may_say_anything() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let captured = Captured::new(&daemon);
    for word in &captured.words[..HEAD] {
        word.store(0xdead_beef, Ordering::SeqCst);
    }
    captured.ring();
    drop(captured);
    before.check(&daemon);
}

#[test]
fn memory_full_of_noise_leaves_the_daemon_serving() {
    let daemon = Daemon::start(&[]);
    let before = Before::of(&daemon);
    let mut noise = u32::from_ne_bytes(std::process::id().to_ne_bytes()) | 1;
    for _ in 0..5 {
        wait_for("an intake", || daemon.find_intake().is_some());
        let captured = Captured::new(&daemon);
        for word in captured.words {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            word.store(noise, Ordering::Relaxed);
        }
        captured.ring();
        std::thread::sleep(Duration::from_millis(20));
    }
    before.check(&daemon);
}

/// A descriptor of another process, which needs the right to trace it.
fn steal(pid: i32, fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: plain integers; what is returned is ours.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let pidfd = (pidfd >= 0).then(|| OwnedFd::from_raw_fd(pidfd as RawFd))?;
        let stolen = libc::syscall(libc::SYS_pidfd_getfd, std::os::fd::AsRawFd::as_raw_fd(&pidfd), fd, 0);
        (stolen >= 0).then(|| OwnedFd::from_raw_fd(stolen as RawFd))
    }
}

/// The intake's sockets, by which it hears the executor.
fn sockets(intake: i32) -> Vec<OwnedFd> {
    let fds = std::fs::read_dir(format!("/proc/{intake}/fd")).unwrap();
    let numbers = fds.filter_map(|entry| {
        let entry = entry.ok()?;
        let socket = std::fs::read_link(entry.path()).ok()?.to_string_lossy().starts_with("socket:");
        socket.then(|| entry.file_name().to_string_lossy().parse().ok()).flatten()
    });
    numbers.filter_map(|fd| steal(intake, fd)).collect()
}

/// Sends bytes with so many descriptors; never waits.
fn send(socket: &OwnedFd, bytes: &[u8], descriptors: usize) {
    use std::io::IoSlice;
    let null = std::fs::File::open("/dev/null").unwrap();
    let fds = vec![std::os::fd::AsRawFd::as_raw_fd(&null); descriptors];
    let rights = [nix::sys::socket::ControlMessage::ScmRights(&fds)];
    let control = if descriptors > 0 { &rights[..] } else { &[] };
    let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT | nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
    let socket = std::os::fd::AsRawFd::as_raw_fd(socket);
    let _ = nix::sys::socket::sendmsg::<()>(socket, &[IoSlice::new(bytes)], control, flags, None);
}

/// The library's receiver believes the lengths and descriptors that it is sent. Nobody on the executor's side
/// receives.
#[test]
fn what_is_written_to_its_own_socket_reaches_nobody() {
    if !as_root() {
        return;
    }
    let huge = (1u64 << 46).to_ne_bytes();
    let attacks: [(&[u8], usize); 5] = [
        (&[huge, [0; 8]].concat(), 0),
        (&[0xff; 64], 0),
        (&[1], 0),
        (&[1000u64.to_ne_bytes(), [0; 8]].concat(), 0),
        (&[16u64.to_ne_bytes(), [0; 8]].concat(), 60),
    ];
    for (bytes, descriptors) in attacks {
        let mut daemon = Daemon::start(&[]);
        let before = Before::of(&daemon);
        let intake = daemon.intake();
        for socket in sockets(intake) {
            (0..40).for_each(|_| send(&socket, bytes, descriptors));
        }
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(intake), nix::sys::signal::Signal::SIGKILL);
        wait_for("another intake", || {
            assert_eq!(daemon.process.try_wait().unwrap(), None, "the daemon has ended: {}", daemon.log());
            daemon.find_intake().is_some_and(|next| next != intake)
        });
        before.check(&daemon);
    }
}
