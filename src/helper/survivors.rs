//! Helpers that a killed daemon has left running. Each is waited for in place of being run a second time
//! at the same time.
#![forbid(unsafe_code)]

use super::Helper;
use crate::sys;
use log::info;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long whoever reaps it may take to do so: only then does the kernel tell its exit status to others.
const REAPING: Duration = Duration::from_secs(2);

/// A process that runs what one of our helpers would.
pub(crate) struct Survivor {
    pid: u32,
    pidfd: OwnedFd,
}

/// Those that are known.
#[derive(Default)]
pub(crate) struct Survivors(Mutex<Vec<(Vec<u8>, Survivor)>>);

impl Survivors {
    /// Looks for processes that run one of these helpers.
    pub(crate) fn find(&self, helpers: &[Helper]) {
        let wanted: Vec<_> = helpers.iter().map(command_line).collect();
        for pid in pids() {
            // A script's command line begins with its interpreter.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let Some(wanted) = wanted.iter().find(|wanted| runs(&line, wanted)) else { continue };
            let Some(survivor) = Survivor::new(pid) else { continue };
            info!("pid {pid} is a helper of an earlier daemon: it is waited for");
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((wanted.clone(), survivor));
        }
    }

    /// The one that runs this helper.
    pub(crate) fn take(&self, helper: &Helper) -> Option<Survivor> {
        let mut survivors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if survivors.is_empty() {
            return None;
        }
        let wanted = command_line(helper);
        let found = survivors.iter().position(|(line, _)| *line == wanted)?;
        Some(survivors.swap_remove(found).1)
    }
}

impl Survivor {
    fn new(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(pid.cast_signed())?;
        Some(Survivor { pid, pidfd: pidfd_open(raw, PidfdFlags::empty()).ok()? })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end; returns its exit status, where the kernel tells it to others than the parent (Linux 6.15).
    pub(crate) fn wait(&self) -> Option<ExitStatus> {
        while poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None) == Err(Errno::INTR) {}
        let end = Instant::now() + REAPING;
        loop {
            match sys::exit_code(&self.pidfd) {
                Ok(Some(code)) => return Some(ExitStatus::from_raw(code)),
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// As /proc shows it: each word with a NUL behind it.
fn command_line(helper: &Helper) -> Vec<u8> {
    helper.argv().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect()
}

/// Whether the words of `line` end in those of `wanted`.
fn runs(line: &[u8], wanted: &[u8]) -> bool {
    line.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with(b"\0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::Watch;
    use std::process::Command;

    fn sleeper(seconds: &str) -> Helper {
        let args = vec![seconds.to_owned()];
        Helper { path: "/bin/sleep".into(), args, trigger: None, watch: Watch::Nothing }
    }

    #[test]
    fn words_are_compared_whole() {
        assert!(runs(b"/bin/sh\0/sbin/modprobe\0x\0", b"/sbin/modprobe\0x\0"));
        assert!(!runs(b"/usr/sbin/modprobe\0x\0", b"/sbin/modprobe\0x\0"));
        assert!(!runs(b"/sbin/modprobe\0xy\0", b"/sbin/modprobe\0x\0"));
    }

    #[test]
    fn one_that_runs_is_found_and_waited_for_once() {
        let seconds = format!("{}.5", std::process::id());
        let mut child = Command::new("/bin/sleep").arg(&seconds).spawn().unwrap();
        let survivors = Survivors::default();
        // Between its fork and its execve it has our own command line.
        while survivors.0.lock().unwrap().is_empty() {
            survivors.find(&[sleeper(&seconds), sleeper("1")]);
        }
        assert!(survivors.take(&sleeper("1")).is_none());
        let survivor = survivors.take(&sleeper(&seconds)).unwrap();
        assert_eq!(survivor.pid(), child.id());
        assert!(survivors.take(&sleeper(&seconds)).is_none());
        child.kill().unwrap();
        let waiting = std::thread::spawn(move || survivor.wait());
        child.wait().unwrap();
        if let Some(status) = waiting.join().unwrap() {
            assert_eq!(status.signal(), Some(9));
        }
    }
}
