//! A world of real time, a real queue and real helpers around a running daemon.
#![forbid(unsafe_code)]

use crate::world::stage::Stage;
use crate::world::{Remains, Sent, World};
use kerneld_protocol::queue::{Buffer, Queue, Select};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often answers are looked for.
const POLL: Duration = Duration::from_millis(4);

/// How long a daemon may take to read a message that it is going to read.
const SETTLE: Duration = Duration::from_millis(150);

/// How long a helper may take to begin.
const START: Duration = Duration::from_millis(200);

/// A daemon that can be started, signalled, and ended.
pub trait Daemon {
    /// Starts it; the queue that it serves.
    ///
    /// # Errors
    /// A sentence that holds what it said itself.
    fn start(&mut self, stage: &Stage) -> Result<Queue, String>;
    /// Signals it.
    ///
    /// # Errors
    /// A sentence.
    fn signal(&mut self, signal: Signal) -> Result<(), String>;
    /// Its pid, while it runs.
    fn pid(&self) -> Option<u32>;
    /// Whether it has ended.
    fn ended(&mut self) -> bool;
    /// Ends it and all that it started; its queue stays.
    fn stop(&mut self);
    /// The same, and removes its queue.
    fn clean_up(&mut self);
}

/// The world.
pub struct Live<D: Daemon> {
    stage: Stage,
    daemon: D,
    queue: Queue,
    buffer: Buffer,
    /// Whether it is stopped, so that it reads nothing.
    stopped: bool,
    /// Helpers that had been started when it was last waited for one.
    started: usize,
    /// By how much a pause of ours was too long, at most.
    late: Duration,
}

impl<D: Daemon> Live<D> {
    /// A world on a stage, its daemon started.
    ///
    /// # Errors
    /// A sentence: the daemon did not start.
    pub fn new(mut stage: Stage, mut daemon: D) -> Result<Self, String> {
        let started = daemon.start(&stage);
        if started.is_err() {
            daemon.clean_up();
        }
        stage.start_clock();
        Ok(Live {
            stage,
            daemon,
            queue: started?,
            buffer: Buffer::default(),
            stopped: false,
            started: 0,
            late: Duration::ZERO,
        })
    }

    fn waiting(&self) -> u64 {
        self.queue.stat().map_or(0, |stat| stat.messages)
    }
}

impl<D: Daemon> Drop for Live<D> {
    fn drop(&mut self) {
        self.daemon.clean_up();
        self.stage.end_helpers();
    }
}

impl<D: Daemon> World for Live<D> {
    fn now(&self) -> u64 {
        self.stage.now()
    }

    fn pass(&mut self, until: u64) {
        let (start, pause) =
            (Instant::now(), POLL.min(Duration::from_millis(until.saturating_sub(self.now()))));
        sleep(pause);
        self.late = self.late.max(start.elapsed().saturating_sub(pause));
        // An old one that has ended takes its channel with it.
        self.daemon.ended();
    }

    fn send(&mut self, mtype: i64, mtext: &[u8]) -> Result<Sent, String> {
        match self.queue.send(mtype, mtext) {
            Ok(()) => Ok(Sent::Done),
            Err(Errno::EAGAIN | Errno::EIDRM | Errno::EINVAL) => Ok(Sent::NotYet),
            Err(errno) => Err(format!("cannot send a message of type {mtype}: {}", errno.desc())),
        }
    }

    fn room(&self) -> u64 {
        self.queue.stat().map_or(0, |stat| stat.capacity.saturating_sub(stat.bytes))
    }

    fn settle(&mut self, helper: bool) {
        if self.stopped {
            return;
        }
        // A busy machine takes its time for either.
        let (start, before) = (Instant::now(), self.waiting());
        while before > 0 && self.waiting() >= before {
            if start.elapsed() > SETTLE + 4 * self.late {
                // What it does not read starts no helper.
                return;
            }
            sleep(Duration::from_millis(1));
        }
        // It has read the message; now its helper may begin, so that the order of helpers is that of steps.
        let read = Instant::now();
        while helper && read.elapsed() < START + 4 * self.late && self.stage.started() == self.started {
            sleep(Duration::from_millis(2));
        }
        if !helper || self.stage.started() > self.started {
            self.late = self.late.max(start.elapsed());
        }
        self.started = self.stage.started();
    }

    fn fetch(&mut self, mtype: i64) -> Option<Vec<u8>> {
        let found = self.queue.try_receive(Select::Exactly(mtype), &mut self.buffer);
        (found == Ok(true)).then(|| self.buffer.mtext().to_vec())
    }

    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        self.stopped = signal == Signal::SIGSTOP || self.stopped && signal != Signal::SIGCONT;
        self.daemon.signal(signal)
    }

    fn ended(&mut self) -> bool {
        self.daemon.ended()
    }

    fn start(&mut self) -> Result<(), String> {
        self.queue = self.daemon.start(&self.stage)?;
        Ok(())
    }

    fn place(&mut self, program: &str, there: bool) -> Result<(), String> {
        self.stage.place(program, there)
    }

    fn quiet(&self) -> bool {
        self.stage.quiet()
    }

    fn finish(&mut self) -> Result<Remains, String> {
        let runs = self.stage.runs()?;
        // While it lives, it takes messages itself.
        self.daemon.stop();
        let mut messages = Vec::new();
        while self.queue.try_receive(Select::Any, &mut self.buffer) == Ok(true) {
            messages.push((self.buffer.mtype(), self.buffer.mtext().to_vec()));
        }
        let late = self.stage.late()?.max(self.late.as_millis() as u64);
        Ok(Remains { runs, messages, late })
    }
}
