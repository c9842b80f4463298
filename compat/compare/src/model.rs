//! A model of the old kerneld (modutils 2.4), as far as others can see it. In virtual time; shares
//! nothing with the new daemon, and was written from what is known of the old one: see
//! `docs/behaviour.md`, which has a scenario for each point.
#![forbid(unsafe_code)]

use crate::observe::Run;
use crate::plan::{Plan, Rule};
use kerneld_compat::wire::{Layout, Message};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes that a queue of its time held (`MSGMNB`, Linux 2.0 to today).
const QUEUE_BYTES: usize = 16384;

/// The most bytes of mtext that it read.
const READ: usize = 1024;

/// The numbers of get_persist and set_persist: those of the new daemon's defaults, since nobody knows
/// those of the historical patch.
const GET_PERSIST: i64 = 9;
const SET_PERSIST: i64 = 10;

/// The version it calls itself.
pub const VERSION: &str = "2.4.27";

/// The channel, as the kernel keeps it.
#[derive(Debug, Default)]
pub struct Channel(VecDeque<(i64, Vec<u8>)>);

impl Channel {
    /// Appends a message; false when there is no room.
    pub fn send(&mut self, mtype: i64, mtext: &[u8]) -> bool {
        let bytes: usize = self.0.iter().map(|(_, mtext)| mtext.len()).sum();
        let room = bytes + mtext.len() <= QUEUE_BYTES && self.0.len() < QUEUE_BYTES;
        if room {
            self.0.push_back((mtype, mtext.to_vec()));
        }
        room
    }

    /// Takes a message as `msgrcv` selects it: 0 any, above it just that type, below it the lowest
    /// type up to its absolute value.
    pub fn receive(&mut self, select: i64) -> Option<(i64, Vec<u8>)> {
        let types = self.0.iter().map(|(mtype, _)| *mtype);
        let wanted = match select {
            0 => types.into_iter().next(),
            1.. => Some(select),
            _ => types.filter(|mtype| *mtype <= -select).min(),
        }?;
        let at = self.0.iter().position(|(mtype, _)| *mtype == wanted)?;
        self.0.remove(at)
    }
}

/// What a process of its is about.
#[derive(Clone, Debug)]
enum Doing {
    /// Sleeps before it runs modprobe (delayed release).
    Sleeps { program: &'static str, args: Vec<String>, env: BTreeMap<String, String> },
    /// Runs as this helper.
    Runs { index: usize, rule: Rule },
    /// Has found no program to run.
    Fails,
}

#[derive(Clone, Debug)]
struct Process {
    pid: u32,
    until: u64,
    doing: Doing,
    /// Collected for a `system` request that wants an answer.
    output: String,
}

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
    /// Helpers run so far.
    pub runs: Vec<Run>,
    /// Which helpers there are.
    pub programs: BTreeSet<String>,
    /// Whether it lives and reads: not stopped, not ended.
    alive: bool,
    stopped: bool,
    plan: Plan,
    env: BTreeMap<String, String>,
    keep: bool,
    debug: bool,
    delay: i64,
    want: i64,
    have_request_route: bool,
    /// Kept in a file: outlives it.
    persist: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Newest first.
    jobs: VecDeque<Job>,
    processes: Vec<Process>,
    next_pid: u32,
    /// Answers that it is stuck with: its msgsnd blocks.
    stuck: VecDeque<(i64, Vec<u8>)>,
}

impl OldKerneld {
    /// A daemon that is not started.
    pub fn new(plan: Plan, programs: &[String], env: BTreeMap<String, String>) -> Self {
        OldKerneld {
            channel: None,
            runs: Vec::new(),
            programs: programs.iter().cloned().collect(),
            alive: false,
            stopped: false,
            plan,
            env,
            keep: false,
            debug: false,
            delay: 60,
            want: -255,
            have_request_route: false,
            persist: BTreeMap::new(),
            jobs: VecDeque::new(),
            processes: Vec::new(),
            next_pid: 1000,
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
        self.have_request_route = self.programs.contains("request-route");
    }

    /// SIGSTOP and SIGCONT.
    pub fn stop(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// When something happens by itself.
    pub fn next_event(&self) -> Option<u64> {
        self.processes.iter().map(|process| process.until).min()
    }

    /// Whether none of its children runs a helper.
    pub fn quiet(&self) -> bool {
        !self.processes.iter().any(|process| matches!(process.doing, Doing::Runs { .. }))
    }

    /// Lives at `now`: children that are due go on, then it answers and reads.
    pub fn live(&mut self, now: u64) {
        while let Some(at) = self.processes.iter().position(|process| process.until <= now) {
            let process = self.processes.remove(at);
            self.go_on(process);
        }
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

    /// A process whose time is over: a sleeper becomes a helper, a helper ends.
    fn go_on(&mut self, process: Process) {
        let Process { pid, until, doing, output } = process;
        match doing {
            Doing::Sleeps { program, args, env } => self.exec(pid, program, args, env, until),
            Doing::Runs { index, rule } => {
                self.runs[index].end = Some(until);
                let output = output + &rule.late_output;
                self.reap(pid, if rule.dies_of.is_some() { 0 } else { rule.exit }, output);
            }
            Doing::Fails => self.reap(pid, 1, output),
        }
    }

    fn reap(&mut self, pid: u32, status: u8, output: String) {
        for job in self.jobs.iter_mut().filter(|job| job.pid == Some(pid)) {
            (job.pid, job.status) = (None, i64::from(status));
            // One read of the pipe.
            job.reply = output.clone().into_bytes();
            job.reply.truncate(READ);
        }
    }

    fn exec(&mut self, pid: u32, program: &str, args: Vec<String>, env: BTreeMap<String, String>, now: u64) {
        if program != "sh" && !self.programs.contains(program) {
            let process = Process { pid, until: now, doing: Doing::Fails, output: String::new() };
            return self.processes.push(process);
        }
        let rule = self.plan.rule(program, &args);
        let index = self.runs.len();
        let output = if program == "sh" { rule.output.clone() } else { String::new() };
        let until = now + rule.millis();
        self.runs.push(Run { program: program.to_owned(), args, env, start: now, end: None });
        self.processes.push(Process { pid, until, doing: Doing::Runs { index, rule }, output });
    }

    fn kill(&mut self, pid: u32, status: u8) {
        let Some(at) = self.processes.iter().position(|process| process.pid == pid) else { return };
        self.processes.remove(at);
        self.reap(pid, status, String::new());
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
        job.pid = self.spawn(&mut job, now);
        if job.pid.is_some() || job.id != 0 {
            self.jobs.push_front(job);
        }
        // A helper that takes no time has ended already.
        while let Some(at) = self.processes.iter().position(|process| process.until <= now) {
            let process = self.processes.remove(at);
            self.go_on(process);
        }
    }

    /// Does what a job asks; the process it waits for, if any.
    fn spawn(&mut self, job: &mut Job, now: u64) -> Option<u32> {
        let text = String::from_utf8_lossy(&job.text).into_owned();
        match job.mtype {
            1 => Some(self.fork(job, "sh", vec!["-c".into(), text], 0, now)),
            2 => self
                .running(job, 2)
                .or_else(|| Some(self.fork(job, "modprobe", vec!["-k".into(), "-s".into(), text], 0, now))),
            3 | 4 => {
                // `keep` is looked at, and then forgotten.
                let delay = if job.mtype == 4 { self.sleep_time() } else { 0 };
                Some(self.fork(job, "modprobe", vec!["-r".into(), "-s".into(), text], delay, now))
            }
            5 => {
                if !self.keep {
                    self.cancel(&job.text);
                }
                None
            }
            6 if !self.have_request_route => None,
            6 => self.running(job, 6).or_else(|| Some(self.fork(job, "request-route", vec![text], 0, now))),
            7 => self.blanker(job, now),
            GET_PERSIST => {
                job.reply = self.persist.get(&job.text).cloned().unwrap_or_default();
                job.status = job.reply.len() as i64;
                None
            }
            SET_PERSIST => {
                self.set_persist(&job.raw);
                None
            }
            255 => {
                job.reply = self.status(&text);
                None
            }
            _ => {
                job.status = 1;
                None
            }
        }
    }

    /// Milliseconds that a delayed release sleeps; `sleep` takes a negative number for a huge one.
    fn sleep_time(&self) -> u64 {
        u64::try_from(self.delay).map_or(u64::MAX / 2, |seconds| seconds * 1000)
    }

    /// The process of an equal request.
    fn running(&self, job: &Job, mtype: i64) -> Option<u32> {
        self.jobs.iter().rev().find(|other| other.mtype == mtype && other.text == job.text)?.pid
    }

    fn fork(&mut self, job: &Job, program: &'static str, args: Vec<String>, delay: u64, now: u64) -> u32 {
        let mut env = self.env.clone();
        if job.layout.has_pid() {
            env.insert("KERNELD_TRIGGER".to_owned(), job.sender.to_string());
        }
        self.next_pid += 1;
        let pid = self.next_pid;
        if delay == 0 {
            self.exec(pid, program, args, env, now);
        } else {
            let doing = Doing::Sleeps { program, args, env };
            self.processes.push(Process { pid, until: now + delay, doing, output: String::new() });
        }
        pid
    }

    /// SIGINT to each delayed release of that name, asleep or not.
    fn cancel(&mut self, text: &[u8]) {
        let same = |job: &&Job| job.mtype == 4 && job.text == text;
        let pids: Vec<u32> = self.jobs.iter().filter(same).filter_map(|job| job.pid).collect();
        for pid in pids {
            self.kill(pid, 0);
        }
    }

    fn blanker(&mut self, job: &mut Job, now: u64) -> Option<u32> {
        let running = self.jobs.iter().position(|other| other.mtype == 7 && other.pid.is_some());
        let pid = running.and_then(|at| self.jobs[at].pid);
        if job.text == b"on" {
            return pid.or_else(|| Some(self.fork(job, "screenblanker", vec![], 0, now)));
        }
        match (running, pid) {
            (Some(at), Some(pid)) => {
                // The blanker's end will answer this request in place of the one that started it.
                self.jobs[at].id = job.id;
                job.id = 0;
                let on_quit = self.processes.iter().find_map(|process| match &process.doing {
                    Doing::Runs { rule, .. } if process.pid == pid => rule.on_quit,
                    _ => None,
                });
                self.kill(pid, on_quit.unwrap_or(0));
            }
            _ => job.status = 1,
        }
        None
    }

    /// `{ int keylen; int arglen; char arr[]; }`. It trusted both lengths.
    fn set_persist(&mut self, raw: &[u8]) {
        let int =
            |at: usize| raw.get(at..at + 4).and_then(|four| Some(i32::from_le_bytes(four.try_into().ok()?)));
        let Some((keylen @ 1.., arglen)) = int(0).zip(int(4)) else { return };
        let (keylen, arglen) = (keylen as usize, usize::try_from(arglen).unwrap_or(0));
        let Some((key, rest)) = raw.get(8..).and_then(|arr| arr.split_at_checked(keylen)) else { return };
        let key = key.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match rest.get(..arglen) {
            Some([]) => drop(self.persist.remove(&key)),
            Some(value) => drop(self.persist.insert(key, value.to_vec())),
            None => {}
        }
    }

    fn status(&mut self, word: &str) -> Vec<u8> {
        let mut answer = String::new();
        match word {
            "debug" => self.debug = true,
            "nodebug" => self.debug = false,
            "keep" => self.keep = true,
            "nokeep" => self.keep = false,
            "flush" => {
                let mut count = 0;
                while self.channel.as_mut().and_then(|channel| channel.receive(0)).is_some() {
                    count += 1;
                }
                answer = format!("flushed {count} entries\n");
            }
            _ => {
                let seconds = word.strip_prefix("delay=").map_or(0, number_at_start);
                self.delay = if seconds == 0 { self.delay } else { seconds };
            }
        }
        let no = |set| if set { "" } else { "no" };
        let (delay, keep, debug) = (self.delay, no(self.keep), no(self.debug));
        answer += &format!("Version {VERSION}, pid=1, delay={delay}, {keep}keep, {debug}debug\n");
        let mut listed = 0;
        for job in &self.jobs {
            if answer.len() > READ - 40 {
                return answer.into_bytes();
            }
            answer += if listed == 0 { "job queue:\n" } else { "" };
            listed += 1;
            answer += &job_line(job);
        }
        answer += if listed == 0 { "no jobs waiting\n" } else { "" };
        answer.into_bytes()
    }
}

fn job_line(job: &Job) -> String {
    let name = match job.mtype {
        1 => "system",
        2 => "request_module",
        3 => "release_module",
        4 => "delayed_release_module",
        5 => "cancel_release_module",
        6 => "request_route",
        7 => "screenblanker",
        255 => "debug",
        _ => "unknown",
    };
    let text = String::from_utf8_lossy(&job.text);
    let from = if job.layout.has_pid() { format!(" from pid {}", job.sender) } else { String::new() };
    format!("pid {}, type {name} ('{text}'){from}\n", job.pid.unwrap_or(0))
}

/// A number as C's atoi reads it.
fn number_at_start(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let end = text[sign..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| sign + end);
    text[..end].trim_start_matches('+').parse().unwrap_or(0)
}
