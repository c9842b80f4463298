//! Runs a helper and waits for it: one execve, no shell.
#![forbid(unsafe_code)]

use crate::helper::{Helper, Watch};
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The most that a helper's output adds to an answer (modutils 2.4 `kerneld.c`).
pub(crate) const MAX_OUTPUT: usize = 1024;

/// How often a helper is looked at if the kernel does not report its end.
const PAUSE: Duration = Duration::from_millis(20);

/// How a helper ended, as an answer carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Exit code, 128+N for signal N, or a negative errno.
    pub(crate) status: i32,
    /// What it printed, if that was asked for.
    pub(crate) text: Vec<u8>,
}

impl From<i32> for Outcome {
    fn from(status: i32) -> Self {
        Outcome { status, text: Vec::new() }
    }
}

/// A running helper.
pub(crate) struct Watched {
    child: Child,
    watch: Watch,
    handle: Option<Handle>,
}

/// A handle on a running helper, which stays right when its pid is used again.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<OwnedFd>);

impl Handle {
    /// Asks it to end (SIGQUIT, as kerneld asked the screen blanker). One that has ended ignores it.
    pub(crate) fn quit(&self) {
        let _ = pidfd_send_signal(&self.0, Signal::QUIT);
    }
}

/// Starts a helper. Its standard streams are the executor's own, which are /dev/null, and every other
/// descriptor of the executor is close-on-exec: so nothing needs doing in the child, and the standard
/// library takes its posix_spawn path.
///
/// # Errors
/// The errno of a helper that cannot be run.
pub(crate) fn spawn(helper: &Helper) -> Result<Watched, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let mut command = command(helper);
    if matches!(helper.watch, Watch::Output(_)) {
        command.stdout(Stdio::piped());
    }
    let child = command.spawn().map_err(errno)?;
    let handle = handle_of(&child);
    Ok(Watched { child, watch: helper.watch, handle })
}

/// The helper as the standard library starts it, with nothing inherited but descriptors.
pub(crate) fn command(helper: &Helper) -> Command {
    let mut command = Command::new(&helper.path);
    command.args(&helper.args).env_clear().envs(helper.env().map(|(name, value)| (name, value.into_owned())));
    command
}

fn handle_of(child: &Child) -> Option<Handle> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok().map(|fd| Handle(Arc::new(fd)))
}

impl Watched {
    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A handle on it; `None` if the process had no descriptor left.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.handle.clone()
    }

    /// Waits for it to end; kills it when its time is up, which answers -ETIME.
    pub(crate) fn wait(&mut self) -> Outcome {
        let limit = match self.watch {
            Watch::Nothing => None,
            Watch::Limit(limit) => limit,
            Watch::Output(limit) => Some(limit),
        };
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (mut text, mut output) = (Vec::new(), self.child.stdout.take());
        let in_time = match self.handle.clone() {
            Some(handle) => self
                .follow(&handle, &mut output, &mut text, deadline, &ready)
                .unwrap_or_else(|errno| self.look_again_and_again(errno, deadline)),
            None => true,
        };
        if !in_time {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return Outcome { status: -libc::ETIME, text };
        }
        let status = match self.child.wait() {
            Ok(status) => code(status.code(), status.signal()),
            Err(error) => -error.raw_os_error().unwrap_or(libc::ECHILD),
        };
        Outcome { status, text }
    }

    /// Reads output until the helper has ended; false when the deadline came first. Past [`MAX_OUTPUT`]
    /// the pipe is closed, so that one who prints on gets SIGPIPE. What a child of the helper prints after
    /// the helper's end is not waited for.
    fn follow(
        &self,
        handle: &Handle,
        output: &mut Option<ChildStdout>,
        text: &mut Vec<u8>,
        deadline: Option<Instant>,
        ready: &Poll,
    ) -> Result<bool, Errno> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match ready(handle, output.as_ref(), left) {
                Ok(Ready { readable: true, .. }) => {
                    *output = output.take().filter(|pipe| read_some(pipe, text));
                }
                Ok(Ready { ended: true, .. }) => return Ok(true),
                Ok(_) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits without a report from the kernel, where that is impossible; this is logged with the reason.
    /// Output is no longer read.
    fn look_again_and_again(&mut self, errno: Errno, deadline: Option<Instant>) -> bool {
        warn!("cannot wait for the end of a helper ({errno}): looking for it every {PAUSE:?}");
        while matches!(self.child.try_wait(), Ok(None)) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }
}

/// [`ready`], or what a test has in its place.
type Poll<'a> = dyn Fn(&Handle, Option<&ChildStdout>, Option<Duration>) -> Result<Ready, Errno> + 'a;

/// Which of the two has something to report; neither when time is up.
struct Ready {
    ended: bool,
    readable: bool,
}

/// Waits for the helper's end, its output, or until the time that is `left` is up.
fn ready(handle: &Handle, output: Option<&ChildStdout>, left: Option<Duration>) -> Result<Ready, Errno> {
    let mut fds = vec![PollFd::new(&handle.0, PollFlags::IN)];
    fds.extend(output.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    poll(&mut fds, timeout.as_ref())?;
    let tells = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
    Ok(Ready { ended: tells(0), readable: tells(1) })
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
pub(crate) fn code(exit: Option<i32>, signal: Option<i32>) -> i32 {
    exit.unwrap_or_else(|| 128 + signal.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

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
        // As the daemon does at its start: whoever runs the tests in the background may ignore SIGQUIT.
        sys::default_signals().unwrap();
        let args = vec!["600".to_owned()];
        let helper = Helper { path: "/bin/sleep".into(), args, trigger: None, watch: Watch::Limit(None) };
        let mut running = spawn(&helper).unwrap();
        running.handle().unwrap().quit();
        assert_eq!(running.wait().status, 128 + libc::SIGQUIT);
    }

    #[test]
    fn a_poll_that_always_fails_is_given_up_and_the_helper_still_waited_for() {
        sys::default_signals().unwrap();
        let start = |seconds: &str, limit| {
            let args = vec![seconds.to_owned()];
            let watch = Watch::Limit(limit);
            spawn(&Helper { path: "/bin/sleep".into(), args, trigger: None, watch }).unwrap()
        };
        let helper = start("0.1", None);
        let (calls, handle) = (std::cell::Cell::new(0), helper.handle().unwrap());
        let fails = |_: &Handle, _: Option<&ChildStdout>, _| {
            calls.set(calls.get() + 1);
            Err(Errno::NOMEM)
        };
        let followed = helper.follow(&handle, &mut None, &mut Vec::new(), None, &fails);
        assert_eq!((followed, calls.get()), (Err(Errno::NOMEM), 1));
        let mut helper = helper;
        assert!(helper.look_again_and_again(Errno::NOMEM, None));
        assert_eq!(helper.wait().status, 0);
        let mut slow = start("600", None);
        assert!(!slow.look_again_and_again(Errno::NOMEM, Some(Instant::now())));
        slow.handle().unwrap().quit();
        assert_eq!(slow.wait().status, 128 + libc::SIGQUIT);
    }
}
