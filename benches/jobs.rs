//! What it costs to note who waits for what: `cargo bench --bench jobs`.

use divan::{Bencher, black_box};
use kerneld::inside::{AT_ONCE, BUSY_LIMIT, Jobs, ModuleName, Submitted, Task, Waiter};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::Layout;
use std::time::Instant;

fn main() {
    divan::main();
}

fn load(name: &str) -> Task {
    Task::Load(ModuleName::new(name.as_bytes()).expect("a name"))
}

fn waiter(request: u64) -> Waiter {
    Waiter { request, reply: ReplyTo { id: 1000, layout: Layout::Lp64New, pid: 77 } }
}

/// A request that starts a helper, and the helper's end, while others run.
#[divan::bench(args = [0, 8, 49])]
fn start_and_finish(bencher: Bencher<'_, '_>, others: u64) {
    let (mut jobs, now) = (Jobs::new(AT_ONCE, BUSY_LIMIT), Instant::now());
    for other in 0..others {
        jobs.submit(load(&format!("other{other}")), waiter(other), now);
    }
    let task = load("dummy");
    bencher.bench_local(|| {
        let Submitted::Start(id) = jobs.submit(black_box(task.clone()), waiter(100), now) else {
            unreachable!("there is a place")
        };
        jobs.finish(id)
    });
}

/// Eight that share a helper.
#[divan::bench]
fn fold_eight(bencher: Bencher<'_, '_>) {
    let (mut jobs, now) = (Jobs::new(AT_ONCE, BUSY_LIMIT), Instant::now());
    let task = load("dummy");
    bencher.bench_local(|| {
        let Submitted::Start(id) = jobs.submit(task.clone(), waiter(0), now) else {
            unreachable!("there is a place")
        };
        for client in 1..8 {
            jobs.submit(black_box(task.clone()), waiter(client), now);
        }
        jobs.finish(id)
    });
}
