//! The intake as the executor sees it: a child process at the other end of a channel.
#![forbid(unsafe_code)]

use crate::order::action::FromIntake;
use crate::sys;
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver, IpcSender};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// An intake that ends this often within [`RESTART_WINDOW`] is not started again.
const RESTARTS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(10);

/// How long an intake may take to lock itself in and report.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How to start an intake.
pub struct Recipe {
    /// Arguments of `kerneld intake`, without the channel's name.
    pub args: Vec<String>,
    /// Where its log lines go.
    pub log: File,
}

/// A running intake.
pub struct IntakeProcess {
    recipe: Recipe,
    child: Child,
    receiver: IpcReceiver<FromIntake>,
    /// When the latest ones were started.
    starts: VecDeque<Instant>,
}

/// What came from the intake.
pub enum Received {
    /// A message.
    Message(FromIntake),
    /// Bytes that are none: the intake is broken or taken over.
    Nonsense(String),
    /// The intake closed its end, by ending.
    Ended,
}

impl IntakeProcess {
    /// Starts an intake and waits until it is ready.
    ///
    /// # Errors
    /// A sentence that says why it did not get ready.
    pub fn start(recipe: Recipe) -> Result<Self, String> {
        let (child, receiver) = launch(&recipe)?;
        Ok(IntakeProcess { recipe, child, receiver, starts: VecDeque::from([Instant::now()]) })
    }

    /// Starts another in place of one that was reaped.
    ///
    /// # Errors
    /// As [`IntakeProcess::start`]; or when too many ended too soon.
    pub fn restart(&mut self) -> Result<(), String> {
        self.starts.retain(|start| start.elapsed() < RESTART_WINDOW);
        if self.starts.len() >= RESTARTS {
            return Err(format!("the intake ended {RESTARTS} times in {} s", RESTART_WINDOW.as_secs()));
        }
        self.starts.push_back(Instant::now());
        (self.child, self.receiver) = launch(&self.recipe)?;
        Ok(())
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Waits for what it says next.
    pub fn receive(&self) -> Received {
        match self.receiver.recv() {
            Ok(message) => Received::Message(message),
            Err(IpcError::Disconnected) => Received::Ended,
            Err(error) => Received::Nonsense(error.to_string()),
        }
    }

    /// Ends it at once; [`Received::Ended`] follows.
    pub fn kill(&self) {
        let _ = kill(self.pid(), Signal::SIGKILL);
    }

    /// Takes its exit status, which leaves its pid free for others.
    pub fn reap(&mut self) -> String {
        self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

fn launch(recipe: &Recipe) -> Result<(Child, IpcReceiver<FromIntake>), String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("cannot {what} the intake: {error}");
    let (server, name) = IpcOneShotServer::new().map_err(|error| failed("make a channel to", &error))?;
    let log = recipe.log.try_clone().map_err(|error| failed("share the log with", &error))?;
    let mut child = Command::new("/proc/self/exe")
        .arg("intake")
        .arg("--channel")
        .arg(&name)
        .args(&recipe.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| failed("start", &error))?;
    let receiver = accept(server, name, &mut child).and_then(locked_in).inspect_err(|_| {
        let _ = child.kill();
        let _ = child.wait();
    })?;
    sys::close_on_exec().map_err(|error| format!("cannot close descriptors to helpers: {error}"))?;
    Ok((child, receiver))
}

/// Waits for the intake to have given up what it does not need.
fn locked_in(receiver: IpcReceiver<FromIntake>) -> Result<IpcReceiver<FromIntake>, String> {
    match receiver.try_recv_timeout(START_LIMIT) {
        Ok(FromIntake::Ready) => Ok(receiver),
        Ok(other) => Err(format!("the intake began with {other:?}")),
        Err(error) => {
            Err(format!("the intake did not lock itself in ({error}); its own message is in the log"))
        }
    }
}

/// Waits for the intake to connect, or to end without having done so.
fn accept(
    server: IpcOneShotServer<FromIntake>,
    name: String,
    child: &mut Child,
) -> Result<IpcReceiver<FromIntake>, String> {
    let (report, accepted) = channel();
    let waiting = thread::spawn(move || report.send(server.accept()));
    let start = Instant::now();
    loop {
        match accepted.recv_timeout(Duration::from_millis(50)) {
            Ok(Ok((receiver, _hello))) => return Ok(receiver),
            Ok(Err(error)) => return Err(format!("the intake did not report: {error}")),
            Err(RecvTimeoutError::Disconnected) => return Err("the intake's channel broke".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() || start.elapsed() > START_LIMIT {
            // An empty connection lets the waiting thread end.
            drop(IpcSender::<FromIntake>::connect(name));
            let _ = waiting.join();
            let how = ended.map_or("it did not report in time".to_owned(), |status| status.to_string());
            return Err(format!("the intake did not get ready ({how}); its own message is in the log"));
        }
    }
}
