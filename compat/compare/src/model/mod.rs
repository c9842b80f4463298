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

use channel::Channel;
use children::{Children, Ended};
use commands::number_at_start;
use kerneld_protocol::wire::{Layout, Message};
use kerneld_recorder::Plan;
use std::collections::{BTreeMap, VecDeque};

/// The most bytes of mtext that it read.
const READ: usize = 1024;

#[derive(Clone, Debug)]
struct Job {
    mtype: i64,
    /// The text, as far as its first NUL.
    text: Vec<u8>,
    /// All of it.
    raw: Vec<u8>,
    id: i64,
    layout: Layout,
    sender: i16,
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
    delay: i64,
    want: i64,
    have_request_route: bool,
    /// Kept in a file: outlives it.
    persist: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Newest first.
    jobs: VecDeque<Job>,
    /// Answers that it is stuck with: its msgsnd blocks.
    stuck: VecDeque<(i64, Vec<u8>)>,
}

impl OldKerneld {
    /// A daemon that is not started.
    pub fn new(plan: Plan, programs: &[String], env: BTreeMap<String, String>) -> Self {
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
            persist: BTreeMap::new(),
            jobs: VecDeque::new(),
            stuck: VecDeque::new(),
        }
    }

    /// Starts it with its words.
    pub fn start(&mut self, words: &[String]) {
        (self.keep, self.debug, self.delay, self.want) = (false, false, 60, -255);
        for word in words {
            match word.split_once('=') {
                None if word == "keep" => self.keep = true,
                None if word == "debug" => self.debug = true,
                Some(("delay", number)) => self.delay = number_at_start(number),
                Some(("type", number)) => self.want = number_at_start(number),
                _ => {}
            }
        }
        (self.alive, self.stopped) = (true, false);
        self.channel = Some(Channel::default());
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

    /// SIGHUP: looks for its route helper again.
    pub fn hang_up(&mut self) {
        self.have_request_route = self.children.programs.contains("request-route");
    }

    /// SIGSTOP and SIGCONT.
    pub fn stop(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Lives at `now`: children that are due go on, then it answers and reads.
    pub fn live(&mut self, now: u64) {
        self.reap_due(now);
        while self.alive && !self.stopped && self.flush_stuck() {
            self.finish_jobs();
            if !self.alive || !self.stuck.is_empty() {
                continue;
            }
            match self.channel.as_mut().and_then(|channel| channel.receive(self.want)) {
                Some((mtype, mtext)) => self.take(mtype, mtext, now),
                None => break,
            }
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
            job.reply.truncate(READ);
        }
    }

    fn finish_jobs(&mut self) {
        let (done, running): (VecDeque<_>, _) =
            std::mem::take(&mut self.jobs).into_iter().partition(|job| job.pid.is_none());
        self.jobs = running;
        let wanted = done.into_iter().filter(|job| job.id != 0);
        self.stuck.extend(wanted.map(|job| {
            let Job { layout, sender: pid, reply, .. } = &job;
            let message = Message { layout: *layout, id: job.status, pid: *pid, text: reply };
            (job.id, message.encode())
        }));
        self.flush_stuck();
    }

    /// A message that it has read.
    fn take(&mut self, mtype: i64, mut mtext: Vec<u8>, now: u64) {
        mtext.truncate(READ);
        if mtext.is_empty() {
            return;
        }
        // A message cut short is read into a buffer of zeros.
        mtext.resize(mtext.len().max(4), 0);
        let Ok(message) = Message::decode(&mtext) else { return };
        let end = message.text.iter().position(|byte| *byte == 0).unwrap_or(message.text.len());
        let mut job = Job {
            mtype,
            text: message.text[..end].to_vec(),
            raw: message.text.to_vec(),
            id: message.id,
            layout: message.layout,
            sender: message.pid,
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
