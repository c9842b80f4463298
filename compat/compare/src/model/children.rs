//! The model's child processes: delayed releases that sleep, and helpers. They outlive it.
#![forbid(unsafe_code)]

use crate::observe::Run;
use kerneld_recorder::{Plan, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// The children, and what they run.
#[derive(Debug)]
pub struct Children {
    /// Helpers run so far.
    pub runs: Vec<Run>,
    /// Which helpers there are.
    pub programs: BTreeSet<String>,
    plan: Plan,
    env: BTreeMap<String, String>,
    processes: Vec<Process>,
    next_pid: u32,
}

/// A child that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its pid.
    pub pid: u32,
    /// What kerneld took for its exit code: 0 for one that a signal killed.
    pub status: u8,
    /// What it wrote.
    pub output: String,
}

#[derive(Debug)]
struct Process {
    pid: u32,
    until: u64,
    doing: Doing,
    /// Collected for a `system` request that wants an answer.
    output: String,
}

/// What a process is about.
#[derive(Debug)]
enum Doing {
    /// Sleeps before it runs modprobe (delayed release).
    Sleeps { program: &'static str, args: Vec<String>, env: BTreeMap<String, String> },
    /// Runs as this helper.
    Runs { index: usize, rule: Rule },
    /// Has found no program to run.
    Fails,
}

impl Children {
    /// None yet.
    pub fn new(plan: Plan, programs: &[String], env: BTreeMap<String, String>) -> Self {
        let programs = programs.iter().cloned().collect();
        Children { runs: Vec::new(), programs, plan, env, processes: Vec::new(), next_pid: 1000 }
    }

    /// When something happens by itself.
    pub fn next_event(&self) -> Option<u64> {
        self.processes.iter().map(|process| process.until).min()
    }

    /// Whether none runs a helper.
    pub fn quiet(&self) -> bool {
        !self.processes.iter().any(|process| matches!(process.doing, Doing::Runs { .. }))
    }

    /// Starts one that runs a program after `delay` milliseconds; its pid.
    pub fn fork(&mut self, program: &'static str, args: Vec<String>, delay: u64, now: u64) -> u32 {
        // Without KERNELD_TRIGGER: it gave putenv an array that was gone when the helper was executed.
        let env = self.env.clone();
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

    /// The next that has ended by itself; sleepers whose time is over become helpers.
    pub fn next_ended(&mut self, now: u64) -> Option<Ended> {
        loop {
            let at = self.processes.iter().position(|process| process.until <= now)?;
            let Process { pid, until, doing, output } = self.processes.remove(at);
            match doing {
                Doing::Sleeps { program, args, env } => self.exec(pid, program, args, env, until),
                Doing::Runs { index, rule } => {
                    self.runs[index].end = Some(until);
                    let status = if rule.dies_of.is_some() { 0 } else { rule.exit };
                    return Some(Ended { pid, status, output: output + &rule.late_output });
                }
                Doing::Fails => return Some(Ended { pid, status: 1, output }),
            }
        }
    }

    /// SIGINT, of which it dies; `None` when it has ended already.
    pub fn interrupt(&mut self, pid: u32) -> Option<Ended> {
        self.take(pid).map(|_| Ended { pid, status: 0, output: String::new() })
    }

    /// SIGQUIT, upon which it exits as its rule says or dies of it.
    pub fn quit(&mut self, pid: u32) -> Option<Ended> {
        let on_quit = match self.take(pid)?.doing {
            Doing::Runs { rule, .. } => rule.on_quit,
            Doing::Sleeps { .. } | Doing::Fails => None,
        };
        Some(Ended { pid, status: on_quit.unwrap_or(0), output: String::new() })
    }

    fn take(&mut self, pid: u32) -> Option<Process> {
        let at = self.processes.iter().position(|process| process.pid == pid)?;
        Some(self.processes.remove(at))
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
}
