//! A folder of its own for each run of a daemon: the recorded helpers, what they recorded, the
//! daemon's state and log.
#![forbid(unsafe_code)]

use crate::observe::Run;
use crate::world::process::alive;
use kerneld_recorder::{self as recorder, Event, PLAN, Plan, now_ns};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Held while a file that will be executed is open for writing, and while a process is started: a
/// child that inherits such a file between fork and exec makes running it fail with ETXTBSY.
static STARTING: Mutex<()> = Mutex::new(());

/// The folder. Removed when dropped.
#[derive(Debug)]
pub struct Stage {
    dir: tempfile::TempDir,
    start_ns: u64,
    plan: Plan,
}

impl Stage {
    /// Makes the folder with helpers of these names.
    ///
    /// # Errors
    /// A sentence: the file system refuses.
    pub fn new(plan: &Plan, programs: &[String]) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("cannot make a folder for the recorded helpers: {error}");
        let dir = tempfile::Builder::new().prefix("kerneld-compare-").tempdir().map_err(failed)?;
        let stage = Stage { dir, start_ns: now_ns(), plan: plan.clone() };
        let exe = std::env::current_exe().map_err(failed)?;
        recorder::install(stage.dir(), &exe).map_err(failed)?;
        fs::create_dir(stage.sbin()).map_err(failed)?;
        fs::create_dir(stage.path("shell")).map_err(failed)?;
        place(&stage.path("shell/sh"), &recorder::script(stage.dir())).map_err(failed)?;
        let plan = serde_json::to_string(plan).map_err(|error| failed(error.into()))?;
        fs::write(stage.path(PLAN), plan).map_err(failed)?;
        for program in programs {
            stage.place(program, true)?;
        }
        Ok(stage)
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the recorded helpers.
    pub fn sbin(&self) -> PathBuf {
        self.path("sbin")
    }

    /// Makes a helper appear or go: a file whose interpreter is the recorder.
    ///
    /// # Errors
    /// A sentence: the file system refuses.
    pub fn place(&self, program: &str, there: bool) -> Result<(), String> {
        let path = self.sbin().join(program);
        let done = if there { place(&path, &recorder::script(self.dir())) } else { fs::remove_file(&path) };
        done.map_err(|error| format!("cannot place the helper {}: {error}", path.display()))
    }

    /// Starts the clock that times are told by.
    pub fn start_clock(&mut self) {
        self.start_ns = now_ns();
    }

    /// Milliseconds since the clock was started.
    pub fn now(&self) -> u64 {
        self.since_start(now_ns())
    }

    fn since_start(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.start_ns) / 1_000_000
    }

    fn events(&self) -> Result<Vec<Event>, String> {
        recorder::events(self.dir()).map_err(|error| format!("the record of helpers: {error}"))
    }

    /// The helpers that ran, or run.
    ///
    /// # Errors
    /// A sentence: the record cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, String> {
        let mut runs: Vec<(u32, Run)> = Vec::new();
        for event in self.events()? {
            match event {
                Event::Began(record) => {
                    let (program, start) = (record.program().to_owned(), self.since_start(record.ns));
                    let args = record.argv.get(1..).unwrap_or_default().to_vec();
                    runs.push((record.pid, Run { program, args, env: record.env, start, end: None }));
                }
                Event::Ended { pid, ns } => {
                    let end = self.since_start(ns);
                    let run = runs.iter_mut().rev().find(|(of, run)| *of == pid && run.end.is_none());
                    run.into_iter().for_each(|(_, run)| run.end = Some(end));
                }
            }
        }
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// Milliseconds by which a helper that ended by itself took longer than its rule says, at most.
    ///
    /// # Errors
    /// As [`Stage::runs`].
    pub fn late(&self) -> Result<u64, String> {
        let late = |run: Run| {
            let rule = self.plan.rule(&run.program, &run.args);
            let early = rule.on_quit.is_some();
            (!early).then(|| (run.end? - run.start).checked_sub(rule.millis()))?
        };
        Ok(self.runs()?.into_iter().filter_map(late).max().unwrap_or(0))
    }

    /// How many helpers have been started.
    pub fn started(&self) -> usize {
        let events = self.events().unwrap_or_default();
        events.iter().filter(|event| matches!(event, Event::Began(_))).count()
    }

    /// Whether no helper runs.
    pub fn quiet(&self) -> bool {
        let mut running = BTreeMap::new();
        for event in self.events().unwrap_or_default() {
            match event {
                Event::Began(record) => running.insert(record.pid, ()),
                Event::Ended { pid, .. } => running.remove(&pid),
            };
        }
        !running.keys().any(|pid| alive(*pid))
    }

    /// Ends helpers that still run.
    pub fn end_helpers(&self) {
        for event in self.events().unwrap_or_default() {
            if let Event::Began(record) = event
                && runs_from(record.pid, self.dir())
            {
                let _ = kill(Pid::from_raw(record.pid as i32), nix::sys::signal::SIGKILL);
            }
        }
    }
}

/// Whether that pid is still a helper of this folder.
fn runs_from(pid: u32, dir: &Path) -> bool {
    let recorder = dir.join(recorder::NAME).into_os_string().into_encoded_bytes();
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(&recorder))
}

/// Writes a file that can be executed.
fn place(path: &Path, script: &str) -> std::io::Result<()> {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Copies a program, not while a process is started.
///
/// # Errors
/// Whatever the system says.
pub fn copy_program(from: &Path, to: &Path) -> std::io::Result<()> {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    fs::copy(from, to).map(drop)
}

/// Starts a process, not while a helper's file is being written.
///
/// # Errors
/// Whatever the system says.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// The environment that every daemon under observation is started with: one variable that a helper
/// only has if the daemon hands its own environment down.
pub fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("PATH", "/sbin:/usr/sbin:/bin:/usr/bin"), ("STARTED_WITH", "this")].into_iter()
}
