//! What `kdrun` costs a program that does not ask for kerneld: `cargo bench --bench kdrun`.
//!
//! Each workload runs in turn directly and under `kdrun`, in a fresh process each time, and is timed
//! whole, by the clock on the wall, from its start to its exit. The figure is the median of the ratios
//! of neighbouring runs, which other load on the machine moves least.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use kerneld_protocol::queue::Queue;

/// Runs of each kind.
const ROUNDS: usize = 41;
/// Calls in a run.
const CALLS: usize = 100_000;
/// The first argument of a run in a process of its own.
const WORKER: &str = "--worker";

struct Workload {
    name: &'static str,
    /// What the project promises, where it promises a figure.
    at_most: Option<f64>,
    run: fn(),
}

const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "100,000 ordinary calls: msgget makes a queue, msgctl removes it",
        at_most: Some(1.1),
        run: make_and_remove,
    },
    Workload {
        name: "100,000 of the shortest msgget: a key that has no queue",
        at_most: None,
        run: look_for_nothing,
    },
    Workload { name: "100,000 of the shortest call: getppid", at_most: None, run: shortest },
    Workload { name: "no msgget: counting the words of a file", at_most: Some(1.1), run: count_words },
    Workload { name: "nothing: start and exit", at_most: None, run: || {} },
];

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().position(|word| word == WORKER) {
        Some(at) => work(&words[at + 1]),
        None => compare(),
    }
}

fn work(name: &str) {
    match WORKLOADS.iter().find(|workload| workload.name == name) {
        Some(workload) => (workload.run)(),
        None => panic!("no workload is named {name:?}"),
    }
}

fn make_and_remove() {
    for _ in 0..CALLS / 2 {
        Queue::create(libc::IPC_PRIVATE, 0o600).and_then(|queue| queue.remove()).expect("a private queue");
    }
}

fn look_for_nothing() {
    for _ in 0..CALLS {
        let _ = black_box(Queue::open(0x6e6f_6e65));
    }
}

fn shortest() {
    for _ in 0..CALLS {
        black_box(nix::unistd::getppid());
    }
}

fn count_words() {
    for _ in 0..1_000 {
        let text = std::fs::read_to_string("/proc/cpuinfo").expect("a text");
        black_box(text.split_whitespace().count());
    }
}

fn compare() {
    for workload in &WORKLOADS {
        let rounds: Vec<(f64, f64)> =
            (0..ROUNDS).map(|_| (measure(workload.name, false), measure(workload.name, true))).collect();
        let direct = median(rounds.iter().map(|(direct, _)| *direct).collect());
        let ratio = median(rounds.iter().map(|(direct, under)| under / direct).collect());
        let promise = workload.at_most.map(|limit| format!(" (promised: at most {limit})"));
        println!("{}: {direct:.0} us directly, x {ratio:.3}{}", workload.name, promise.unwrap_or_default());
    }
}

/// One run in a process of its own, in microseconds.
fn measure(name: &str, under_kdrun: bool) -> f64 {
    let this = std::env::current_exe().expect("our own path");
    let kdrun = env!("CARGO_BIN_EXE_kdrun").into();
    let mut words = if under_kdrun { vec![kdrun, this] } else { vec![this] }.into_iter();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).args([WORKER, name]);
    let start = Instant::now();
    let status = command.status().expect("the workload starts");
    let taken = start.elapsed();
    assert!(status.success(), "{name}: {status}");
    taken.as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
