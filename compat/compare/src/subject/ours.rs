//! The new kerneld as a subject: started in the foreground on a queue of its own.
#![forbid(unsafe_code)]

use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world::play;
use crate::world::process::{children, wait_until_stopped};
use crate::world::real::{Daemon, Live};
use crate::world::stage::{Stage, environment, spawn};
use kerneld_protocol::queue::Queue;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps it within the stage, whatever this machine has.
const CONFIG: &str = r#"
[route]
helper = "{dir}/request-route"
[blanker]
helper = "{dir}/screenblanker"
[persist]
file = "{dir}/persist.gdbm"
"#;

/// A `kerneld` of ours.
pub struct Ours {
    program: PathBuf,
    key: i32,
    words: Vec<String>,
    config: String,
    modprobe: Option<PathBuf>,
    child: Option<Child>,
    starts: u32,
}

impl Ours {
    /// Runs a scenario on a `kerneld` of ours.
    ///
    /// # Errors
    /// A sentence: it did not start, or a step could not be taken.
    pub fn run(program: &Path, scenario: &Scenario) -> Result<Observation, String> {
        let stage = Stage::new(&scenario.plan, &scenario.programs)?;
        let ours = Ours::new(program, &scenario.words, &scenario.config);
        play(scenario, &mut Live::new(stage, ours)?)
    }

    /// One that is not started yet.
    pub fn new(program: &Path, words: &[String], config: &str) -> Self {
        let (words, config) = (words.to_vec(), config.to_owned());
        let program = program.to_owned();
        Ours { program, key: Queue::free_key(), words, config, modprobe: None, child: None, starts: 0 }
    }

    /// The same, running this in place of the recorder.
    pub fn with_modprobe(mut self, modprobe: &Path) -> Self {
        self.modprobe = Some(modprobe.to_owned());
        self
    }

    fn command(&self, stage: &Stage, log: File) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--foreground", "--ready-fd=1"])
            .arg(format!("--key={}", self.key))
            .arg("--state-dir")
            .arg(stage.path("state"))
            .arg("--modprobe")
            .arg(self.modprobe.clone().unwrap_or_else(|| stage.sbin().join("modprobe")))
            .arg("--config")
            .arg(stage.path("kerneld.toml"))
            .args(&self.words)
            .env_clear()
            .envs(environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0);
        command
    }

    /// Waits for the line by which it tells that it serves.
    fn wait_until_ready(&mut self, log: &Path) -> Result<Queue, String> {
        let said = || fs::read_to_string(log).unwrap_or_default();
        let failed = |why: &str| format!("{} {why}; it said:\n{}", self.program.display(), said());
        let pipe =
            self.child.as_mut().and_then(|child| child.stdout.take()).ok_or("the daemon has no pipe")?;
        let (line, told) = channel();
        thread::spawn(move || line.send(BufReader::new(pipe).lines().next()));
        match told.recv_timeout(PATIENCE) {
            Ok(Some(Ok(_))) => {
                Queue::open(self.key).map_err(|errno| failed(&format!("has no queue ({errno})")))
            }
            _ => Err(failed("did not start")),
        }
    }
}

impl Daemon for Ours {
    fn start(&mut self, stage: &Stage) -> Result<Queue, String> {
        self.starts += 1;
        let log = stage.path(&format!("kerneld-{}.log", self.starts));
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.program.display());
        let config = format!("{}{CONFIG}", self.config).replace("{dir}", &stage.sbin().to_string_lossy());
        fs::write(stage.path("kerneld.toml"), config).map_err(failed)?;
        let child = spawn(&mut self.command(stage, File::create(&log).map_err(failed)?)).map_err(failed)?;
        self.child = Some(child);
        self.wait_until_ready(&log)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        let child = self.child.as_mut().ok_or("the daemon has not been started")?;
        let pid = Pid::from_raw(child.id() as i32);
        let sent = match signal {
            // Both of its processes are stopped, or neither.
            Signal::SIGSTOP | Signal::SIGCONT => killpg(pid, signal),
            _ => kill(pid, signal),
        };
        sent.map_err(|errno| format!("cannot send the daemon {signal}: {}", errno.desc()))?;
        if signal == Signal::SIGSTOP {
            wait_until_stopped(&group(child.id()))?;
        }
        // A signal that is handled has no answer: let it be handled.
        thread::sleep(Duration::from_millis(if signal == Signal::SIGHUP { 100 } else { 0 }));
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = Pid::from_raw(child.id() as i32);
            if matches!(child.try_wait(), Ok(None)) {
                // Its own processes first: it would restart its other half.
                let _ = child.kill();
                let _ = child.wait();
            }
            // What is left of its group: the other half, helpers.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    fn clean_up(&mut self) {
        self.stop();
        Queue::clear_key(self.key);
    }
}

/// The daemon's two processes, and helpers that stop with them.
fn group(leader: u32) -> Vec<u32> {
    let id = |pid: u32| Pid::from_raw(pid as i32);
    let mut members = children(leader);
    members.retain(|pid| getpgid(Some(id(*pid))) == Ok(id(leader)));
    members.push(leader);
    members
}
