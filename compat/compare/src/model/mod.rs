//! A model of the old kerneld (modutils 2.4), as far as others can see it. In virtual time; shares
//! nothing with the new daemon, and was written from what is known of the old one: see
//! `docs/behaviour.md`, which has a scenario for each point.
//!
//! Here is its life: it starts, reaps, answers, reads. `commands` has what each request does, `children`
//! its processes, `channel` its queue.
#![forbid(unsafe_code)]

mod channel;
mod children;
mod commands;
mod number;
mod wire;

pub use wire::Build;

use channel::Channel;
use children::{Children, Ended};
use kerneld_recorder::Plan;
use number::number_at_start;
use std::collections::{BTreeMap, VecDeque};

/// The most bytes of text that it answered, and what its buffer for kdstat's held besides the header.
const REPLY: usize = 1024;

#[derive(Clone, Debug)]
struct Job {
    mtype: i64,
    /// The text, as far as its first NUL.
    text: Vec<u8>,
    /// All of it.
    raw: Vec<u8>,
    id: i64,
    /// Bytes of a `long` of the sender.
    word: usize,
    sender: Option<i16>,
    /// Its process; `None` once that has ended.
    pid: Option<u32>,
    status: i64,
    reply: Vec<u8>,
}

/// The old daemon.
#[derive(Debug)]
pub struct OldKerneld {
    /// The channel; `None` when nobody keeps it.
    pub channel: Option<Channel>,
    /// Its processes.
    pub children: Children,
    /// Whether it lives and reads: not stopped, not ended.
    alive: bool,
    stopped: bool,
    keep: bool,
    debug: bool,
    delay: i32,
    want: i64,
    have_request_route: bool,
    build: Build,
    /// When its alarm comes, which ends a msgsnd that blocks; none without a timer.
    alarm: Option<u64>,
    persist: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is in the file: outlives it.
    persist_file: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Newest first.
    jobs: VecDeque<Job>,
    /// Answers that it is stuck with: its msgsnd blocks.
    stuck: VecDeque<(i64, Vec<u8>)>,
}

impl OldKerneld {
    /// A daemon that is not started.
    pub fn new(plan: Plan, programs: &[String], env: BTreeMap<String, String>, build: Build) -> Self {
        OldKerneld {
            channel: None,
            children: Children::new(plan, programs, env),
            alive: false,
            stopped: false,
            keep: false,
            debug: false,
            delay: 60,
            want: -255,
            have_request_route: false,
            build,
            alarm: None,
            persist: BTreeMap::new(),
            persist_file: BTreeMap::new(),
            jobs: VecDeque::new(),
            stuck: VecDeque::new(),
        }
    }

    /// Starts it with its words.
    pub fn start(&mut self, words: &[String], now: u64) {
        (self.keep, self.debug, self.delay, self.want) = (false, false, 60, -255);
        for word in words {
            match word.split_once('=') {
                None if word == "keep" => self.keep = true,
                None if word == "debug" => self.debug = true,
                Some(("delay", number)) => self.delay = number_at_start(number),
                Some(("type", number)) => self.want = number_at_start(number).into(),
                _ => {}
            }
        }
        (self.alive, self.stopped) = (true, false);
        self.channel = Some(Channel::default());
        // Started with `keep` it has no timer, and a later `nokeep` starts none.
        self.alarm = (!self.keep && self.delay != 0).then_some(now);
        self.set_alarm(now);
        self.hang_up();
    }

    /// It is ended, by a signal or by itself. The channel goes with it; its children live on.
    pub fn end(&mut self) {
        self.alive = false;
        self.channel = None;
        self.jobs.clear();
        self.stuck.clear();
    }

    /// Whether it lives.
    pub fn alive(&self) -> bool {
        self.alive
    }

    /// Its alarm comes after `delay` seconds; `alarm` takes a negative number for a huge one.
    fn set_alarm(&mut self, now: u64) {
        let seconds = u64::from(self.delay.cast_unsigned());
        self.alarm = self.alarm.map(|_| now + seconds * 1000);
    }

    /// When something happens by itself.
    pub fn next_event(&self) -> Option<u64> {
        let alarm = self.alarm.filter(|_| self.alive && !self.stuck.is_empty());
        self.children.next_event().into_iter().chain(alarm).min()
    }

    /// SIGHUP: reads its persist file and looks for its route helper again.
    pub fn hang_up(&mut self) {
        self.persist = self.persist_file.clone();
        self.have_request_route = self.children.programs.contains("request-route");
    }

    /// SIGSTOP and SIGCONT.
    pub fn stop(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Lives at `now`: children that are due go on, then it answers and reads.
    pub fn live(&mut self, now: u64) {
        self.reap_due(now);
        self.ring(now);
        while self.alive && !self.stopped && self.flush_stuck() {
            self.finish_jobs();
            if !self.alive || !self.stuck.is_empty() {
                continue;
            }
            match self.channel.as_mut().and_then(|channel| channel.receive(self.want)) {
                Some((mtype, mtext)) => self.take(mtype, &mtext, now),
                None => break,
            }
        }
    }

    /// The alarm makes a msgsnd that blocks fail, and it exits.
    fn ring(&mut self, now: u64) {
        if self.alive && !self.stopped && self.alarm.is_some_and(|alarm| alarm <= now) {
            if self.stuck.is_empty() { self.set_alarm(now) } else { self.end() }
        }
    }

    /// Sends what found no room; false while there still is none.
    fn flush_stuck(&mut self) -> bool {
        while let Some((mtype, mtext)) = self.stuck.pop_front() {
            // A msgsnd that fails ends it: "exit".
            if mtype <= 0 {
                self.end();
                return false;
            }
            if !self.channel.as_mut().is_some_and(|channel| channel.send(mtype, &mtext)) {
                self.stuck.push_front((mtype, mtext));
                return false;
            }
        }
        true
    }

    fn reap_due(&mut self, now: u64) {
        while let Some(ended) = self.children.next_ended(now) {
            self.reap(ended);
        }
    }

    fn reap(&mut self, Ended { pid, status, output }: Ended) {
        for job in self.jobs.iter_mut().filter(|job| job.pid == Some(pid)) {
            (job.pid, job.status) = (None, i64::from(status));
            // One read of the pipe.
            job.reply = output.clone().into_bytes();
            job.reply.truncate(REPLY);
        }
    }

    fn finish_jobs(&mut self) {
        let (done, running): (VecDeque<_>, _) =
            std::mem::take(&mut self.jobs).into_iter().partition(|job| job.pid.is_none());
        self.jobs = running;
        let wanted = done.into_iter().filter(|job| job.id != 0);
        self.stuck
            .extend(wanted.map(|job| (job.id, wire::answer(job.word, job.sender, job.status, &job.reply))));
        self.flush_stuck();
    }

    /// A message that it has read.
    fn take(&mut self, mtype: i64, mtext: &[u8], now: u64) {
        let Some(message) = wire::read(mtext, self.build) else { return };
        let end = message.text.iter().position(|byte| *byte == 0).unwrap_or(message.text.len());
        let mut job = Job {
            mtype,
            text: message.text[..end].to_vec(),
            raw: message.text,
            id: message.id,
            word: message.word,
            sender: message.sender,
            pid: None,
            status: 0,
            reply: Vec::new(),
        };
        job.pid = self.begin(&mut job, now);
        if job.pid.is_some() || job.id != 0 {
            self.jobs.push_front(job);
        }
        // A helper that takes no time has ended already.
        self.reap_due(now);
    }
}
