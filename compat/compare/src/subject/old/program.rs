//! The program as a daemon that a scenario runs on: started under a keeper, and its queue with it.
#![forbid(unsafe_code)]

use super::keeper::KEEPER;
use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world::play;
use crate::world::process::{alive, children, wait_until_stopped};
use crate::world::real::{Daemon, Live};
use crate::world::stage::{Stage, copy_program, environment, spawn};
use kerneld_protocol::queue::Queue;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

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
        // By device and inode: it has another root than we have.
        let file = |path: &str| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let program = file(&program.to_string_lossy())?;
        let is_it = |pid: &u32| file(&format!("/proc/{pid}/exe")) == Some(program);
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
        let program = stage.path("program");
        if !program.exists() {
            copy_program(&self.program, &program).map_err(failed)?;
        }
        let program = fs::canonicalize(program).map_err(failed)?;
        if self.hides_modules {
            fs::create_dir_all(stage.path("modules").join(release())).map_err(failed)?;
        }
        let key = Queue::free_key();
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

    fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // Orphans fall to the keeper: when it has no children left, nothing is left.
            for pid in std::iter::from_fn(|| children(keeper.id()).pop()).take(10_000) {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
                sleep(Duration::from_millis(1));
            }
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }

    fn clean_up(&mut self) {
        self.stop();
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
