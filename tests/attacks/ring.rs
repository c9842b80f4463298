//! The ring as somebody sees it who has taken the intake over: shared memory, and no rules. Offsets are those
//! of src/order/ring, written down again, as an attacker would read them from the program.

use crate::support::{Daemon, comm, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicU32, Ordering};

pub const SLOTS: u32 = 16;
pub const CAPACITY: usize = 8192;
pub const HEAD: usize = 16;
pub const SLOT: usize = 4 + 2 + CAPACITY / 4;
pub const BELL: usize = 2;
const READY: usize = 8;

/// The daemon's ring, its intake stopped.
pub struct Captured<'a> {
    daemon: &'a Daemon,
    pub words: &'static [AtomicU32],
    intake: Pid,
    position: u32,
}

impl<'a> Captured<'a> {
    pub fn new(daemon: &'a Daemon) -> Self {
        wait_for("an intake that reads", || reads(daemon));
        let intake = Pid::from_raw(daemon.intake());
        kill(intake, Signal::SIGSTOP).unwrap();
        let words = attach(daemon.key);
        let turn = |slot: u32| words[HEAD + slot as usize * SLOT].load(Ordering::SeqCst);
        let position = (0..SLOTS).map(|slot| turn(slot) >> 1).min().unwrap();
        Captured { daemon, words, intake, position }
    }

    /// A word of the slot that comes next.
    pub fn slot(&self, word: usize) -> &AtomicU32 {
        &self.words[HEAD + (self.position % SLOTS) as usize * SLOT + word]
    }

    pub fn ring(&self) {
        self.words[BELL].fetch_add(1, Ordering::SeqCst);
        // SAFETY: wakes whoever waits on a word of memory that stays.
        unsafe { libc::syscall(libc::SYS_futex, self.words[BELL].as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    /// Writes a message into the next slot without passing it on.
    pub fn write(&self, mtype: i64, mtext: &[u8]) {
        let bytes = [&mtype.to_ne_bytes(), mtext].concat();
        for (word, chunk) in bytes.chunks(4).enumerate() {
            let mut four = [0; 4];
            four[..chunk.len()].copy_from_slice(chunk);
            self.slot(4 + word).store(u32::from_ne_bytes(four), Ordering::SeqCst);
        }
    }

    /// Passes on what is in the next slot, as of this length.
    pub fn publish(&mut self, length: u32) {
        self.slot(1).store(length, Ordering::SeqCst);
        self.slot(0).store(self.position << 1 | 1, Ordering::SeqCst);
        self.ring();
        self.position += 1;
    }

    /// Passes a message on as an intake does, once there is room; false when the intake is gone.
    pub fn pass(&mut self, mtype: i64, mtext: &[u8]) -> bool {
        while self.slot(0).load(Ordering::SeqCst) != self.position << 1 {
            if self.is_gone() {
                return false;
            }
            std::thread::yield_now();
        }
        self.write(mtype, mtext);
        self.slot(2).store(0, Ordering::SeqCst);
        self.publish(mtext.len() as u32);
        !self.is_gone()
    }

    pub fn is_gone(&self) -> bool {
        comm(self.intake.as_raw()) != "kerneld-intake"
    }

    /// Waits until the executor has ended the intake and has another.
    pub fn wait_for_the_next(&self) {
        wait_for("the captured intake to be ended", || self.is_gone());
        wait_for("another intake", || self.daemon.find_intake().is_some());
    }
}

impl Drop for Captured<'_> {
    fn drop(&mut self) {
        detach(self.words);
        if !self.is_gone() {
            let _ = kill(self.intake, Signal::SIGKILL);
        }
    }
}

/// Whether the daemon has an intake that waits for a message. Only root may see in which call it sleeps.
pub fn reads(daemon: &Daemon) -> bool {
    let Some(intake) = daemon.find_intake() else { return false };
    match std::fs::read_to_string(format!("/proc/{intake}/syscall")) {
        Ok(call) => call.split(' ').next() == Some(&libc::SYS_msgrcv.to_string()),
        Err(_) => {
            let words = attach(daemon.key);
            let ready = words[READY].load(Ordering::SeqCst) == 1;
            detach(words);
            let stat = std::fs::read_to_string(format!("/proc/{intake}/stat")).unwrap_or_default();
            ready && stat.contains(") S ")
        }
    }
}

fn detach(words: &'static [AtomicU32]) {
    // SAFETY: nobody uses the memory any more.
    unsafe { libc::shmdt(words.as_ptr().cast()) };
}

fn attach(key: i32) -> &'static [AtomicU32] {
    // SAFETY: the daemon's segment has this size and is attached until `Captured` is dropped.
    unsafe {
        let id = libc::shmget(key, 0, 0);
        assert!(id >= 0, "the daemon's shared memory");
        let start = libc::shmat(id, std::ptr::null(), 0);
        assert_ne!(start.addr(), usize::MAX);
        std::slice::from_raw_parts(start.cast(), HEAD + SLOTS as usize * SLOT)
    }
}
