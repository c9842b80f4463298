//! A real old kerneld as a subject, or anything that serves the channel. It runs under `kdrun`'s
//! mechanism, so that its `msgget` finds our queue, and in a mount namespace of its own, where
//! `/sbin` holds the recorded helpers and `/lib/modules` is an empty folder.
//!
//! Two processes of ours stand above it: the keeper, which makes the namespace and to which orphans
//! fall, and in it the starter, which becomes the old program.
#![forbid(unsafe_code)]

use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world::play;
use crate::world::process::{alive, children, wait_until_stopped};
use crate::world::real::{Daemon, Live};
use crate::world::stage::{Stage, environment, fresh_key, spawn};

use kerneld_protocol::queue::Queue;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::wait;
use nix::unistd::{Pid, Uid, getgid, getuid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The name by which this program knows that it is the keeper.
pub const KEEPER: &str = "old-keeper";

/// The name by which it knows that it is the starter.
pub const STARTER: &str = "old-starter";

/// How long the old program may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take from its start until it reads, where that cannot be seen.
const UNSEEN: Duration = Duration::from_secs(2);

/// An old program.
pub struct Old {
    program: PathBuf,
    words: Vec<String>,
    keeper: Option<Child>,
    queue: Option<Queue>,
    pid: Option<u32>,
    /// Whether `/lib/modules` is empty to it, so that it keeps its persist file in the stage.
    hides_modules: bool,
}

impl Old {
    /// Runs a scenario on an old program.
    ///
    /// # Errors
    /// A sentence: it did not start, or a step could not be taken.
    pub fn run(program: &Path, scenario: &Scenario) -> Result<Observation, String> {
        let stage = Stage::new(&scenario.plan, &scenario.programs)?;
        play(scenario, &mut Live::new(stage, Old::new(program, &scenario.words))?)
    }

    /// One that is not started yet.
    pub fn new(program: &Path, words: &[String]) -> Self {
        Old {
            program: program.to_owned(),
            words: words.to_vec(),
            keeper: None,
            queue: None,
            pid: None,
            hides_modules: true,
        }
    }

    /// The same, with this machine's `/lib/modules`.
    pub fn with_modules(mut self) -> Self {
        self.hides_modules = false;
        self
    }

    /// The process of the old program that the keeper is the parent of: it may have made itself a daemon.
    fn find(&self, program: &Path) -> Option<u32> {
        let keeper = self.keeper.as_ref()?.id();
        let is_it = |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
        children(keeper).into_iter().rev().find(is_it)
    }

    fn wait_until_it_reads(&mut self, program: &Path, log: &Path) -> Result<(), String> {
        let start = Instant::now();
        let mut seen: Option<(u32, Instant)> = None;
        loop {
            let said = || fs::read_to_string(log).unwrap_or_default();
            let ended = self.keeper.as_mut().is_some_and(|keeper| !matches!(keeper.try_wait(), Ok(None)));
            if ended || start.elapsed() > PATIENCE {
                return Err(format!("{} did not start; it said:\n{}", self.program.display(), said()));
            }
            let pid = self.find(program);
            if pid != seen.map(|(pid, _)| pid) {
                seen = pid.map(|pid| (pid, Instant::now()));
            }
            if let Some((pid, since)) = seen
                && (reads(pid) || since.elapsed() > UNSEEN)
            {
                self.pid = Some(pid);
                return Ok(());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// As the old kernel did when the last process of the channel was gone.
    fn remove_queue(&mut self) {
        if let Some(queue) = self.queue.take() {
            let _ = queue.remove();
        }
    }
}

impl Daemon for Old {
    fn start(&mut self, stage: &Stage) -> Result<Queue, String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.program.display());
        let exe = std::env::current_exe().map_err(failed)?;
        // Outside /sbin, which the namespace hides.
        let program = stage.path("program");
        fs::copy(&self.program, &program).map_err(failed)?;
        let program = fs::canonicalize(program).map_err(failed)?;
        if self.hides_modules {
            fs::create_dir_all(stage.path("modules").join(release())).map_err(failed)?;
        }
        let key = fresh_key();
        let queue =
            Queue::create(key, 0o600).map_err(|errno| format!("cannot make a queue: {}", errno.desc()))?;
        self.queue = Some(queue);
        let log = stage.path("old.log");
        let file = File::options().append(true).create(true).open(&log).map_err(failed)?;
        let mut keeper = Command::new(exe);
        keeper
            .arg0(KEEPER)
            .arg(stage.dir())
            .arg(key.to_string())
            .arg(&program)
            .args(&self.words)
            .env_clear()
            .envs(environment())
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file);
        self.keeper = Some(spawn(&mut keeper).map_err(failed)?);
        self.wait_until_it_reads(&program, &log)?;
        Ok(queue)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        let pid = self.pid.ok_or("the daemon has not been started")?;
        kill(Pid::from_raw(pid as i32), signal)
            .map_err(|errno| format!("cannot send the daemon {signal}: {}", errno.desc()))?;
        if signal == Signal::SIGSTOP {
            wait_until_stopped(&[pid])?;
        }
        // A signal that is handled has no answer: let it be handled.
        sleep(Duration::from_millis(if signal == Signal::SIGHUP { 100 } else { 0 }));
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn ended(&mut self) -> bool {
        let ended = !self.pid.is_some_and(alive);
        if ended {
            self.remove_queue();
        }
        ended
    }

    fn clean_up(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // Orphans fall to the keeper: when it has no children left, nothing is left.
            for pid in std::iter::from_fn(|| children(keeper.id()).pop()).take(10_000) {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
                sleep(Duration::from_millis(1));
            }
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        self.remove_queue();
    }
}

/// Whether it waits for a message, as far as the kernel tells.
fn reads(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("msgrcv"))
}

fn release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim_end().to_owned()
}

/// The keeper: arguments are the stage's folder, the queue's key, the program and its words.
pub fn keeper() -> ExitCode {
    finish("cannot make a place for the old kerneld", keep())
}

fn keep() -> Result<ExitCode, String> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (dir, rest) = words.split_first().ok_or("called without a folder")?;
    let dir = Path::new(dir);
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| format!("{what}: {}", errno.desc())
    };
    enter_namespace()?;
    prctl::set_child_subreaper(true).map_err(failed("cannot keep orphans"))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(failed("cannot part with the outer mounts"))?;
    for (inside, place) in [("sbin", "/sbin"), ("modules", "/lib/modules")] {
        let ours = dir.join(inside);
        if Path::new(place).exists() && ours.exists() {
            mount(Some(&ours), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(failed(&format!("cannot put ours in place of {place}")))?;
        }
    }
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let _starter = Command::new(exe)
        .arg0(STARTER)
        .args(rest)
        .spawn()
        .map_err(|error| format!("cannot start the starter: {error}"))?;
    while wait() != Err(Errno::ECHILD) {}
    Ok(ExitCode::SUCCESS)
}

/// A mount namespace; for an ordinary user below a user namespace in which it is root.
fn enter_namespace() -> Result<(), String> {
    let (uid, gid) = (getuid(), getgid());
    let user = if Uid::effective().is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
    unshare(user | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| format!("this system gives us no mount namespace: {}", errno.desc()))?;
    if !user.is_empty() {
        let map = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text);
        map("setgroups", "deny".to_owned())
            .and_then(|()| map("uid_map", format!("0 {uid} 1")))
            .and_then(|()| map("gid_map", format!("0 {gid} 1")))
            .map_err(|error| format!("cannot become root of a user namespace: {error}"))?;
    }
    Ok(())
}

/// The starter: arguments are the queue's key, the program and its words. It becomes the program.
pub fn starter() -> ExitCode {
    finish("cannot start the old kerneld", become_it())
}

fn become_it() -> Result<ExitCode, String> {
    let mut words = std::env::args_os().skip(1);
    let key = words.next().and_then(|key| key.to_str()?.parse().ok()).ok_or("called without a key")?;
    let program = words.next().ok_or("called without a program")?;
    let failure = kdrun::run(&kdrun::Options {
        channel: kdrun::Channel::Key(key),
        wait: Duration::ZERO,
        layout: None,
        verbose: false,
        program,
        arguments: words.collect(),
    });
    Err(failure.message)
}

fn finish(what: &str, done: Result<ExitCode, String>) -> ExitCode {
    done.unwrap_or_else(|why| {
        eprintln!("kerneld-compare: {what}: {why}");
        ExitCode::FAILURE
    })
}
