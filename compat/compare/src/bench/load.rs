//! Workloads, and the two ways to have a helper run: ask a daemon, or start it oneself. The measured
//! path of a client is one msgsnd and one msgrcv.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::wire::{Layout, Message};
use nix::errno::Errno;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Answers under ids from here on.
const FIRST_ID: i32 = 0x0200_0000;

/// When no client has had an answer for this long, the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// One client, one request after another.
    Sequential,
    /// Many clients, each with a name of its own.
    DifferentNames,
    /// Many clients with one name.
    OneName,
    /// One client, while delayed releases wait.
    Waiting,
}

impl Load {
    /// Whether it is one client only.
    pub fn is_sequential(self) -> bool {
        matches!(self, Load::Sequential | Load::Waiting)
    }
}

/// What one subject did in one round.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Each request's time.
    pub times: Vec<Duration>,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// CPU time that it took, helpers included.
    pub cpu: Duration,
}

/// One client's way to have a helper run for a name; the helper's status.
pub type Call<'a> = Box<dyn FnMut(&str) -> Result<i64, String> + Send + 'a>;

/// Something that has helpers run.
pub trait Caller: Sync {
    /// The way for client number `number`.
    fn client(&self, number: usize) -> Call<'_>;
    /// Makes clients that wait for ever fail.
    fn give_up(&self) {}
}

/// The least: start the helper and wait for it, as the kernel's request_module does.
pub struct Limit {
    /// The helper.
    pub helper: PathBuf,
}

impl Caller for Limit {
    fn client(&self, _: usize) -> Call<'_> {
        Box::new(|name| {
            // Nothing is set up in the child, so that the standard library takes its posix_spawn path.
            let status = Command::new(&self.helper)
                .args(["-q", "--", name])
                .env_clear()
                .envs([("HOME", "/"), ("TERM", "linux"), ("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")])
                .env("KERNELD_TRIGGER", "77")
                .status()
                .map_err(|error| format!("cannot run {}: {error}", self.helper.display()))?;
            Ok(status.code().map_or(-1, i64::from))
        })
    }
}

/// A daemon behind its queue.
pub struct Served {
    /// The queue.
    pub queue: Queue,
    /// The layout that it is asked in.
    pub layout: Layout,
}

impl Served {
    /// A delayed release that wants no answer.
    ///
    /// # Errors
    /// A sentence: the queue is gone.
    pub fn post_delayed_release(&self, number: usize) -> Result<(), String> {
        let text = format!("waiting{number}");
        let mtext = Message { layout: self.layout, id: 0, pid: 77, text: text.as_bytes() }.encode();
        loop {
            match self.queue.send(4, &mtext) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => thread::sleep(Duration::from_millis(2)),
                Err(errno) => return Err(format!("cannot send: {}", errno.desc())),
            }
        }
    }
}

impl Caller for Served {
    fn client(&self, number: usize) -> Call<'_> {
        let id = FIRST_ID + number as i32;
        let mut buffer = Box::<Buffer>::default();
        Box::new(move |name| {
            let failed = |errno: Errno| format!("the daemon's queue: {}", errno.desc());
            let message = Message { layout: self.layout, id: id.into(), pid: 77, text: name.as_bytes() };
            self.queue.send(2, &message.encode()).map_err(failed)?;
            self.queue.receive(Select::Exactly(id.into()), &mut buffer).map_err(failed)?;
            Message::decode_as(self.layout, buffer.mtext())
                .map(|answer| answer.id)
                .map_err(|short| short.to_string())
        })
    }

    fn give_up(&self) {
        let _ = self.queue.remove();
    }
}

/// Runs `clients` at once, each with so many requests.
///
/// # Errors
/// A sentence: a client could not go on, or the helper's status changed on the way.
pub fn run(caller: &impl Caller, clients: usize, each: usize, one_name: bool) -> Result<Sample, String> {
    let barrier = Barrier::new(clients + 1);
    let results = Mutex::new(Vec::new());
    let answers = AtomicUsize::new(0);
    let (done, watched) = channel::<()>();
    let mut wall = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| watch(&answers, watched, || caller.give_up()));
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let (barrier, results, answers) = (&barrier, &results, &answers);
                scope.spawn(move || {
                    let name = if one_name { "dummy".to_owned() } else { format!("dummy{number}") };
                    let mut call = caller.client(number);
                    barrier.wait();
                    let result = time(&mut call, &name, each, answers);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        wall = start.elapsed();
        drop(done);
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let times = results.into_iter().collect::<Result<Vec<_>, String>>()?.concat();
    Ok(Sample { times, wall, cpu: Duration::ZERO })
}

/// Gives a run up that has come to a halt, until `watched` is over.
fn watch(answers: &AtomicUsize, watched: Receiver<()>, give_up: impl Fn()) {
    let mut before = answers.load(Ordering::Relaxed);
    while watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        let now = answers.load(Ordering::Relaxed);
        if now == before {
            return give_up();
        }
        before = now;
    }
}

fn time(
    call: &mut Call<'_>,
    name: &str,
    each: usize,
    answers: &AtomicUsize,
) -> Result<Vec<Duration>, String> {
    let mut times = Vec::with_capacity(each);
    let mut expected = None;
    for _ in 0..each {
        let start = Instant::now();
        let status = call(name)?;
        times.push(start.elapsed());
        answers.fetch_add(1, Ordering::Relaxed);
        if *expected.get_or_insert(status) != status {
            return Err(format!("the helper's status was {expected:?} and then {status}"));
        }
    }
    Ok(times)
}
