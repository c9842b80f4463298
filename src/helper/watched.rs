//! Runs a helper and waits for it: one execve, no shell.
#![forbid(unsafe_code)]

use crate::helper::{Helper, Watch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most that a helper's output adds to an answer (modutils 2.4 `kerneld.c`).
pub const MAX_OUTPUT: usize = 1024;

/// How a helper ended, as an answer carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code, 128+N for signal N, or a negative errno.
    pub status: i32,
    /// What it printed, if that was asked for.
    pub text: Vec<u8>,
}

impl From<i32> for Outcome {
    fn from(status: i32) -> Self {
        Outcome { status, text: Vec::new() }
    }
}

/// A running helper.
pub struct Running {
    child: Child,
    watch: Watch,
    handle: Option<Handle>,
}

/// A hold on a running helper that no reuse of its pid can mislead.
#[derive(Clone, Debug)]
pub struct Handle(Arc<OwnedFd>);

impl Handle {
    /// Asks it to end (SIGQUIT, as kerneld asked the screen blanker). One that has ended ignores it.
    pub fn quit(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::QUIT);
    }

    fn kill(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// Starts a helper. Its standard streams are the executor's own, which are /dev/null, and every other
/// descriptor of the executor is close-on-exec: so nothing needs doing in the child, and the standard
/// library takes its posix_spawn path.
///
/// # Errors
/// The errno of a helper that cannot be run.
pub fn spawn(helper: &Helper) -> Result<Running, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let mut command = command(helper);
    if matches!(helper.watch, Watch::Output(_)) {
        command.stdout(Stdio::piped());
    }
    let child = command.spawn().map_err(errno)?;
    let handle = handle_of(&child);
    Ok(Running { child, watch: helper.watch, handle })
}

/// The helper as the standard library starts it, with nothing inherited but descriptors.
pub fn command(helper: &Helper) -> Command {
    let mut command = Command::new(&helper.path);
    command.args(&helper.args).env_clear().envs(helper.env().map(|(name, value)| (name, value.into_owned())));
    command
}

fn handle_of(child: &Child) -> Option<Handle> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok().map(|fd| Handle(Arc::new(fd)))
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A hold on it; `None` where no descriptor was to be had.
    pub fn handle(&self) -> Option<Handle> {
        self.handle.clone()
    }

    /// Waits for it to end; kills it when its time is up, which answers -ETIME.
    pub fn wait(&mut self) -> Outcome {
        let limit = match self.watch {
            Watch::Nothing => None,
            Watch::Limit(limit) => limit,
            Watch::Output(limit) => Some(limit),
        };
        let mut text = Vec::new();
        if let Some(handle) = self.handle.clone() {
            let deadline = limit.map(|limit| Instant::now() + limit);
            let ended = watch(&handle, self.child.stdout.take(), &mut text, deadline);
            if !ended {
                handle.kill();
                let _ = self.child.wait();
                return Outcome { status: -libc::ETIME, text };
            }
        }
        let status = match self.child.wait() {
            Ok(status) => code(status.code(), status.signal()),
            Err(error) => -error.raw_os_error().unwrap_or(libc::ECHILD),
        };
        Outcome { status, text }
    }
}

/// Reads output until the helper has ended; false when the deadline came first. Past [`MAX_OUTPUT`]
/// the pipe is closed, so that one who prints on gets SIGPIPE. What a child of the helper prints after
/// the helper's end is not waited for.
fn watch(
    handle: &Handle,
    mut output: Option<ChildStdout>,
    text: &mut Vec<u8>,
    deadline: Option<Instant>,
) -> bool {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let Some((ended, readable)) = ready(handle, output.as_ref(), left) else {
            return false;
        };
        if readable {
            output = output.take().filter(|pipe| read_some(pipe, text));
        } else if ended {
            return true;
        }
    }
}

/// Which of the two has something to tell: the helper's end, its output. `None` when time is up.
fn ready(handle: &Handle, output: Option<&ChildStdout>, left: Option<Duration>) -> Option<(bool, bool)> {
    let mut fds = vec![PollFd::new(&handle.0, PollFlags::IN)];
    fds.extend(output.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => None,
        Ok(_) => Some((!fds[0].revents().is_empty(), fds.get(1).is_some_and(|fd| !fd.revents().is_empty()))),
        Err(_) => Some((false, false)),
    }
}

/// False when there will be no more, or no more is wanted.
fn read_some(pipe: &ChildStdout, text: &mut Vec<u8>) -> bool {
    let mut buffer = [0; MAX_OUTPUT];
    let room = MAX_OUTPUT - text.len();
    match rustix::io::read(pipe, &mut buffer[..room]) {
        Ok(count) => {
            text.extend_from_slice(&buffer[..count]);
            count > 0 && text.len() < MAX_OUTPUT
        }
        Err(_) => false,
    }
}

/// The exit code; 128+N for a helper killed by signal N, as a shell counts it.
pub fn code(exit: Option<i32>, signal: Option<i32>) -> i32 {
    exit.unwrap_or_else(|| 128 + signal.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, watch: Watch) -> Outcome {
        let args = vec!["-c".to_owned(), script.to_owned()];
        spawn(&Helper { path: "/bin/sh".into(), args, trigger: None, watch }).unwrap().wait()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_signal_counts_from_128() {
        assert_eq!(code(Some(7), None), 7);
        assert_eq!(code(None, Some(9)), 137);
    }

    #[test]
    fn output_written_in_pieces_arrives_whole() {
        let outcome = run("echo one; sleep 0.1; echo two; exit 3", Watch::Output(LONG));
        assert_eq!(outcome, Outcome { status: 3, text: b"one\ntwo\n".to_vec() });
    }

    #[test]
    fn endless_output_is_cut_and_ends_the_helper() {
        let outcome = run("while echo 0123456789; do :; done", Watch::Output(LONG));
        assert_eq!(outcome.text.len(), MAX_OUTPUT);
    }

    #[test]
    fn a_child_that_keeps_the_pipe_open_is_not_waited_for() {
        let outcome = run("sleep 600 & echo $!", Watch::Output(LONG));
        let pid: i32 = String::from_utf8(outcome.text).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(outcome.status, 0);
    }

    #[test]
    fn one_that_takes_too_long_is_killed() {
        let outcome = run("exec sleep 600", Watch::Limit(Some(Duration::from_millis(20))));
        assert_eq!(outcome.status, -libc::ETIME);
    }

    #[test]
    fn one_that_is_told_to_quit_does() {
        let args = vec!["600".to_owned()];
        let helper = Helper { path: "/bin/sleep".into(), args, trigger: None, watch: Watch::Limit(None) };
        let mut running = spawn(&helper).unwrap();
        running.handle().unwrap().quit();
        assert_eq!(running.wait().status, 128 + libc::SIGQUIT);
    }
}
