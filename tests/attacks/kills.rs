//! SIGKILL at any instant: nothing that was sent is lost, and nothing is taken twice.

use crate::ring::reads;
use crate::support::{Daemon, PATIENCE, comm, fresh_key, launch, wait_for};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::Layout;
use kerneld_recorder as recorder;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Requests of the short form; `KERNELD_TEST_KILLS=N` makes it N times as long.
const REQUESTS: u64 = 30_000;

pub fn times() -> u64 {
    std::env::var("KERNELD_TEST_KILLS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A journal that holds everything.
const CONFIG: &str = "[journal]\nsize = 1073741824\n";

fn args(dir: &Path, helper: &Path) -> [String; 2] {
    let config = dir.join("kerneld.toml");
    fs::write(&config, CONFIG).unwrap();
    [format!("--config={}", config.display()), format!("--modprobe={}", helper.display())]
}

/// A daemon whose journal holds everything, with the helper that `prepare` makes in its folder.
pub fn start_with(prepare: impl Fn(&Path) -> PathBuf) -> Daemon {
    let dir = TempDir::new().unwrap();
    let args = args(dir.path(), &prepare(dir.path()));
    Daemon::start_in(dir, fresh_key(), &args.each_ref().map(String::as_str))
}

/// Starts another in place of one that was killed.
pub fn start_again_with(daemon: &mut Daemon, helper: impl Fn(&Path) -> PathBuf) {
    let args = args(daemon.dir.path(), &helper(daemon.dir.path()));
    daemon.process = launch(&daemon.dir, daemon.key, &args.each_ref().map(String::as_str));
}

pub fn start() -> Daemon {
    start_with(|dir| recorder::install(dir, env!("CARGO_BIN_EXE_kerneld").as_ref()).unwrap())
}

pub fn start_again(daemon: &mut Daemon) {
    start_again_with(daemon, |dir| dir.join(recorder::NAME));
}

pub fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A short pause that differs each time.
fn pause(seed: &mut u64, most: u64) {
    std::thread::sleep(Duration::from_micros(next(seed) % most));
}

/// Sends requests that nobody waits for, each with its number as text, in bursts of some hundreds.
fn send_all(queue: Queue, requests: u64, sent: &AtomicU64) {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for number in 0..requests {
        let layout = Layout::ALL[number as usize % 4];
        let reply = ReplyTo { id: 0, layout, pid: 0 };
        let mtext = reply.answer(0, format!("n{number}").as_bytes());
        let start = Instant::now();
        while queue.send(8, &mtext) == Err(Errno::EAGAIN) {
            assert!(start.elapsed() < PATIENCE, "the queue stays full");
            std::thread::yield_now();
        }
        sent.store(number + 1, Ordering::Relaxed);
        if number % 500 == 0 {
            pause(&mut seed, 20_000);
        }
    }
}

/// How often each number has been taken in.
fn taken(daemon: &Daemon) -> HashMap<u64, usize> {
    let journal = fs::read_to_string(daemon.dir.path().join("state/journal")).unwrap();
    let mut taken = HashMap::new();
    for line in journal.lines().filter(|line| line.contains("\"accepted\"")) {
        let text = line.split("\"text\":\"n").nth(1).and_then(|rest| rest.split('"').next());
        *taken.entry(text.unwrap().parse().unwrap()).or_insert(0) += 1;
    }
    taken
}

fn everything_was_taken_once(daemon: &Daemon, requests: u64) {
    let queue = daemon.queue();
    wait_for("the queue to be read", || queue.stat().unwrap().messages == 0);
    let all = || taken(daemon).len() as u64 == requests;
    let start = Instant::now();
    while !all() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let taken = taken(daemon);
    let lost: Vec<_> = (0..requests).filter(|number| !taken.contains_key(number)).collect();
    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!((lost.len(), twice.len()), (0, 0), "lost {lost:?}, taken more than once {twice:?}");
}

#[test]
fn an_intake_killed_in_a_burst_loses_nothing() {
    let daemon = start();
    let (requests, sent, done) = (REQUESTS * times(), AtomicU64::new(0), AtomicBool::new(false));
    let mut kills = 0;
    std::thread::scope(|scope| {
        let queue = daemon.queue();
        let (sent, done) = (&sent, &done);
        scope.spawn(move || {
            send_all(queue, requests, sent);
            done.store(true, Ordering::SeqCst);
        });
        let mut seed = 88_172_645_463_325_252;
        while !done.load(Ordering::SeqCst) {
            if let Some(intake) = daemon.find_intake() {
                let _ = kill(Pid::from_raw(intake), Signal::SIGKILL);
                kills += 1;
            }
            pause(&mut seed, 20_000);
        }
    });
    eprintln!("{requests} requests, {kills} kills");
    everything_was_taken_once(&daemon, requests);
}

/// The kernel hands a message to a reader that waits, even to one that is being killed.
#[test]
fn a_message_that_meets_the_end_of_a_waiting_intake_is_not_lost() {
    let daemon = start();
    let queue = daemon.queue();
    let rounds = 200 * times();
    let mut seed = 0x1234_5678_9abc_def1;
    for number in 0..rounds {
        wait_for("an intake that waits", || reads(&daemon));
        let intake = Pid::from_raw(daemon.intake());
        let mtext = ReplyTo { id: 0, layout: Layout::ALL[number as usize % 4], pid: 0 }
            .answer(0, format!("n{number}").as_bytes());
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                let _ = kill(intake, Signal::SIGKILL);
            });
            barrier.wait();
            (0..next(&mut seed) % 2000).for_each(|_| std::hint::spin_loop());
            queue.send(8, &mtext).unwrap();
        });
    }
    everything_was_taken_once(&daemon, rounds);
}

#[test]
fn a_daemon_killed_in_a_burst_loses_nothing() {
    let mut daemon = start();
    let (requests, sent) = (REQUESTS * times(), AtomicU64::new(0));
    let mut kills = 0;
    std::thread::scope(|scope| {
        let queue = daemon.queue();
        let sent = &sent;
        scope.spawn(move || send_all(queue, requests, sent));
        let mut seed = 362_436_069_123_456_789;
        while sent.load(Ordering::Relaxed) < requests {
            pause(&mut seed, 60_000);
            let intake = daemon.find_intake();
            daemon.process.kill().unwrap();
            if let Some(intake) = intake.filter(|_| kills % 2 == 0) {
                let _ = kill(Pid::from_raw(intake), Signal::SIGKILL);
            }
            daemon.process.wait().unwrap();
            kills += 1;
            start_again(&mut daemon);
        }
    });
    eprintln!("{requests} requests, {kills} kills");
    everything_was_taken_once(&daemon, requests);
}

#[test]
fn an_intake_goes_with_its_executor_even_when_it_is_stopped() {
    let mut daemon = start();
    let intake = daemon.intake();
    kill(Pid::from_raw(intake), Signal::SIGSTOP).unwrap();
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    wait_for("the intake to go", || comm(intake) != "kerneld-intake");
    start_again(&mut daemon);
}
