//! The intake as the executor sees it: a child process that it tells things, and that tells it nothing but
//! what is in the ring.
#![forbid(unsafe_code)]

use super::log_pipe;
use super::told::{SetUp, Told};
use crate::order::judge::PersistNumbers;
use crate::order::ring::{Position, Ring};
use crate::queue::memory::Memory;
use crate::queue::ownership::OwnQueue;
use ipc_channel::ipc::IpcSender;
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use rustix::process::{pidfd_open, pidfd_send_signal, waitid};
use std::fmt;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an intake may take to confine itself.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Signals that a process gets for what it does itself.
const CRASHES: [i32; 6] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGSYS];

/// The exit status after a panic.
const PANIC: i32 = 101;

/// The longest name that a socket can have.
const MAX_NAME: usize = 107;

/// What stays the same from one intake to the next.
pub(crate) struct Plan {
    /// Where messages go.
    pub(crate) memory: Memory,
    /// The folder in which the intake listens for us.
    pub(crate) sockets: PathBuf,
    /// Where messages come from.
    pub(crate) queue: Arc<OwnQueue>,
    /// The one type to take; `None` for all of kerneld's.
    pub(crate) only_type: Option<i64>,
    /// What SIGHUP may change.
    pub(crate) changing: Arc<RwLock<Changing>>,
}

/// What may be different for the next intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changing {
    /// The numbers of get_persist and set_persist.
    pub(crate) persist: PersistNumbers,
    /// User and group that the intake becomes, if we may choose.
    pub(crate) user: Option<(u32, u32)>,
}

impl Plan {
    /// What holds now.
    pub(crate) fn now(&self) -> Changing {
        *self.changing.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running intake.
pub(crate) struct IntakeProcess {
    child: Child,
    hold: Arc<Hold>,
    watch: Option<JoinHandle<()>>,
}

/// How an intake ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// A clause.
    pub(crate) why: String,
    /// Whether that was its own doing: a panic, bad memory, a forbidden system call.
    pub(crate) crashed: bool,
}

impl From<IntakeError> for End {
    fn from(error: IntakeError) -> Self {
        End { why: error.to_string(), crashed: false }
    }
}

/// What stands between us and an intake.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The system refuses: what was to be done with the intake, and why not.
    Refused(&'static str, io::Error),
    /// It did not say where it listens.
    Silent(io::Error),
    /// It says that it listens at a place that it cannot have.
    Elsewhere(String),
    /// Nobody listens there.
    Unreachable(ipc_channel::IpcError),
    /// It did not get as far as reading messages.
    NotLockedIn,
    /// It was told nothing, for it does not listen yet.
    NotListening,
    /// It was told something, and is gone.
    Gone(ipc_channel::IpcError),
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntakeError::Refused(what, error) => write!(f, "cannot {what} the intake: {error}"),
            IntakeError::Silent(error) => write!(f, "it did not say where it listens: {error}"),
            IntakeError::Elsewhere(name) => write!(f, "it listens at {name:?}"),
            IntakeError::Unreachable(error) => write!(f, "it cannot be reached: {error}"),
            IntakeError::NotLockedIn => f.write_str("it did not confine itself"),
            IntakeError::NotListening => f.write_str("nobody listens"),
            IntakeError::Gone(error) => write!(f, "the intake cannot be told: {error}"),
        }
    }
}

impl std::error::Error for IntakeError {}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        let crashed = match status.signal() {
            Some(signal) => CRASHES.contains(&signal),
            None => status.code() == Some(PANIC),
        };
        End { why: status.to_string(), crashed }
    }
}

/// What every thread may do with an intake.
pub(crate) struct Hold {
    ring: Ring<'static>,
    pidfd: OwnedFd,
    sender: Mutex<Option<IpcSender<Told>>>,
    ended: AtomicBool,
}

impl IntakeProcess {
    /// Starts an intake that begins at this place in the ring, and waits until it is about to read.
    ///
    /// # Errors
    /// Why it did not get ready.
    pub(crate) fn start(plan: &Plan, position: Position) -> Result<Self, End> {
        let ring = plan.memory.ring();
        ring.set_ready(false);
        let (pipe, log) = log_pipe().map_err(|error| IntakeError::Refused("make a log for", error))?;
        let mut child = launch(plan, log).map_err(|error| IntakeError::Refused("start", error))?;
        let stdout = child.stdout.take();
        let mut intake = Self::watch(child, pipe, ring)?;
        let Changing { persist, user } = plan.now();
        let set_up = SetUp {
            executor: std::process::id(),
            memory: plan.memory.id(),
            position,
            queue: plan.queue.now().id(),
            only_type: plan.only_type,
            persist,
            become_user: user,
        };
        match intake.get_ready(plan, stdout, set_up, ring) {
            Ok(()) => Ok(intake),
            Err(why) => {
                intake.hold.kill();
                let End { why: ended, crashed } = intake.reap();
                let why = format!("it did not get ready: {why} ({ended}); its own message is in the log");
                Err(End { why, crashed })
            }
        }
    }

    fn watch(child: Child, pipe: PipeReader, ring: Ring<'static>) -> Result<Self, IntakeError> {
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| IntakeError::Refused("hold", errno.into()))?;
        let hold = Arc::new(Hold { ring, pidfd, sender: Mutex::new(None), ended: AtomicBool::new(false) });
        let held = Arc::clone(&hold);
        let watch = thread::Builder::new().name("intake".to_owned()).spawn(move || {
            log_pipe::relay(pipe);
            held.wait_for_end();
            ring.bell().ring_aloud();
        });
        let watch = watch.map_err(|error| IntakeError::Refused("watch", error))?;
        Ok(IntakeProcess { child, hold, watch: Some(watch) })
    }

    fn get_ready(
        &self,
        plan: &Plan,
        stdout: Option<ChildStdout>,
        set_up: SetUp,
        ring: Ring,
    ) -> Result<(), IntakeError> {
        let end = Instant::now() + START_LIMIT;
        let name = stdout.map_or(Ok(String::new()), |stdout| read_name(stdout, end));
        let name = name.map_err(IntakeError::Silent)?;
        if !name.starts_with(&*plan.sockets.to_string_lossy()) {
            return Err(IntakeError::Elsewhere(name));
        }
        let sender = IpcSender::connect(name).map_err(|error| IntakeError::Unreachable(error.into()))?;
        *self.hold.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.hold.tell(Told::SetUp(set_up))?;
        while !ring.ready() {
            if self.hold.ended() || Instant::now() > end {
                return Err(IntakeError::NotLockedIn);
            }
            ring.bell().sleep(Duration::from_millis(20), || ring.ready() || self.hold.ended());
        }
        Ok(())
    }

    /// A hold on it for other threads.
    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Waits for its end and takes its exit status, which leaves its pid free for others.
    pub(crate) fn reap(&mut self) -> End {
        if self.watch.take().is_some_and(|watch| watch.join().is_err()) {
            warn!("the intake's log can no longer be read");
        }
        let unknown = |error: io::Error| End { why: error.to_string(), crashed: false };
        self.child.wait().map_or_else(unknown, End::from)
    }
}

impl Hold {
    /// Tells it something.
    ///
    /// # Errors
    /// It does not listen yet, or is gone.
    pub(crate) fn tell(&self, word: Told) -> Result<(), IntakeError> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return Err(IntakeError::NotListening) };
        sender.send(word).map_err(IntakeError::Gone)
    }

    /// Has it look at what it was told, should it be waiting for a message.
    pub(crate) fn nudge(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::USR1);
    }

    /// Asks it to tell when everything that waits on the queue now is in the ring; the question's number.
    pub(crate) fn ask(&self) -> u32 {
        let question = self.ring.ask();
        self.nudge();
        question
    }

    /// Whether it has answered this question.
    pub(crate) fn has_emptied(&self, question: u32) -> bool {
        self.ring.emptied().wrapping_sub(question).cast_signed() >= 0
    }

    /// Waits until everything that waits on the queue now has been taken out of the ring again; false if that
    /// takes longer than `limit`.
    pub(crate) fn hand_over_all(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let until = |done: &dyn Fn() -> bool| {
            while !done() {
                if self.ended() || Instant::now() > end {
                    return false;
                }
                thread::sleep(Duration::from_millis(1));
                self.nudge();
            }
            true
        };
        let question = self.ask();
        until(&|| self.has_emptied(question)) && {
            let passed_on = self.ring.passed_on();
            until(&|| self.ring.passed_on().iter().all(|message| !passed_on.contains(message)))
        }
    }

    /// Lets it go on if somebody has stopped it.
    pub(crate) fn resume(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::CONT);
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Whether it has ended.
    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn wait_for_end(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), options), Err(rustix::io::Errno::INTR)) {}
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// A pipe whose writer is never held up.
fn log_pipe() -> io::Result<(PipeReader, Stdio)> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    Ok((reader, writer.into()))
}

fn launch(plan: &Plan, log: Stdio) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg("intake")
        .arg("--sockets")
        .arg(&plan.sockets)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
}

/// The first line, which can only come from a process of ours that has not read anything yet.
fn read_name(mut stdout: ChildStdout, end: Instant) -> io::Result<String> {
    let mut name = Vec::new();
    while name.last() != Some(&b'\n') && name.len() <= MAX_NAME {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap_or_default();
        if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut byte = [0];
        if stdout.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        name.extend(byte);
    }
    String::from_utf8(name).map(|name| name.trim_end().to_owned()).map_err(io::Error::other)
}
