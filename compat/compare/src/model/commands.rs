//! What each of the model's requests does.
#![forbid(unsafe_code)]

use super::number::number_at_start;
use super::{Job, OldKerneld, REPLY};

/// The numbers of get_persist and set_persist: those of the new daemon's defaults, since nobody knows
/// those of the historical patch.
const GET_PERSIST: i64 = 9;
const SET_PERSIST: i64 = 10;

/// The most bytes of a header.
const HEADER: usize = 12;

/// The version it calls itself.
const VERSION: &str = "2.4.27";

impl OldKerneld {
    /// Does what a job asks; the process it waits for, if any.
    pub(super) fn begin(&mut self, job: &mut Job, now: u64) -> Option<u32> {
        let text = String::from_utf8_lossy(&job.text).into_owned();
        match job.mtype {
            1 => Some(self.fork("sh", vec!["-c".into(), text], 0, now)),
            2 => {
                self.set_alarm(now);
                self.share(job, "modprobe", vec!["-k".into(), "-s".into(), text], now)
            }
            3 | 4 => {
                // `keep` is looked at, and then forgotten.
                let delay = if job.mtype == 4 { self.sleep_time() } else { 0 };
                Some(self.fork("modprobe", vec!["-r".into(), "-s".into(), text], delay, now))
            }
            6 if self.have_request_route => self.share(job, "request-route", vec![text], now),
            7 => self.blanker(job, now),
            _ => {
                self.answer_at_once(job, &text);
                None
            }
        }
    }

    /// What a job asks for which no process is needed.
    fn answer_at_once(&mut self, job: &mut Job, text: &str) {
        match job.mtype {
            5 if !self.keep => self.cancel(&job.text),
            // `keep` cancels nothing, and without its helper there is no route to request.
            5 | 6 => {}
            GET_PERSIST => {
                job.reply = self.persist.get(&job.text).cloned().unwrap_or_default();
                job.status = job.reply.len() as i64;
            }
            SET_PERSIST => self.set_persist(&job.raw),
            255 => job.reply = self.status(text),
            _ => job.status = 1,
        }
    }

    /// Milliseconds that a delayed release sleeps; `sleep` takes a negative number for a huge one.
    fn sleep_time(&self) -> u64 {
        u64::try_from(self.delay).map_or(u64::MAX / 2, |seconds: u64| seconds * 1000)
    }

    /// The process of an equal request, or one of its own. One that has ended, and whose answer is not sent
    /// yet, is none: then the request is answered 0 at once.
    fn share(&mut self, job: &Job, program: &'static str, args: Vec<String>, now: u64) -> Option<u32> {
        let equal = |other: &&Job| other.mtype == job.mtype && other.text == job.text;
        match self.jobs.iter().rev().find(equal) {
            Some(other) => other.pid,
            None => Some(self.fork(program, args, 0, now)),
        }
    }

    fn fork(&mut self, program: &'static str, args: Vec<String>, delay: u64, now: u64) -> u32 {
        self.children.fork(program, args, delay, now)
    }

    /// SIGINT to each delayed release of that name, asleep or not.
    fn cancel(&mut self, text: &[u8]) {
        let same = |job: &&Job| job.mtype == 4 && job.text == text;
        let pids: Vec<u32> = self.jobs.iter().filter(same).filter_map(|job| job.pid).collect();
        for pid in pids {
            self.children.interrupt(pid).into_iter().for_each(|ended| self.reap(ended));
        }
    }

    fn blanker(&mut self, job: &mut Job, now: u64) -> Option<u32> {
        let running = self.jobs.iter().position(|other| other.mtype == 7 && other.pid.is_some());
        let pid = running.and_then(|at| self.jobs[at].pid);
        if job.text == b"on" {
            return pid.or_else(|| Some(self.fork("screenblanker", vec![], 0, now)));
        }
        match (running, pid) {
            (Some(at), Some(pid)) => {
                // The blanker's end will answer this request in place of the one that started it.
                self.jobs[at].id = job.id;
                job.id = 0;
                self.children.quit(pid).into_iter().for_each(|ended| self.reap(ended));
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
            // Not from the file: it gave gdbm_delete the value in the key's place.
            Some([]) => drop(self.persist.remove(&key)),
            Some(value) => {
                self.persist.insert(key.clone(), value.to_vec());
                self.persist_file.insert(key, value.to_vec());
            }
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
            if answer.len() > REPLY - 40 {
                break;
            }
            answer += if listed == 0 { "job queue:\n" } else { "" };
            listed += 1;
            answer += &job_line(job, self.build.new_protocol);
        }
        answer += if listed == 0 { "no jobs waiting\n" } else { "" };
        if answer.len() > REPLY + HEADER {
            // It has written past the end of its buffer on the heap, which is the end of it.
            self.end();
        }
        answer.into_bytes()
    }
}

/// Compiled for the new protocol, it lists a pid for those of the old one, too.
fn job_line(job: &Job, new_protocol: bool) -> String {
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
    let from = if new_protocol { format!(" from pid {}", job.sender.unwrap_or(0)) } else { String::new() };
    format!("pid {}, type {name} ('{text}'){from}\n", job.pid.unwrap_or(0))
}
