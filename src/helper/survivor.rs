//! Helpers that outlived the daemon that had started them. They are not our children, so their exit status is
//! nobody's to know; but while one runs, another one for the same task must not.
#![forbid(unsafe_code)]

use procfs::process::Process;
use procfs::{Current, Uptime};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the time that a helper's start was written down may be from what the kernel says of it.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A helper that runs still.
pub(crate) struct Survivor(OwnedFd);

impl Survivor {
    /// The process of this pid, if it is the helper that was started at this time (microseconds since 1970)
    /// with these arguments, and not another process that has got its pid since.
    pub(crate) fn find(pid: u32, started: u64, args: &[Vec<u8>]) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let process = Process::new(pid).ok()?;
        let apart = start_of(&process)?.abs_diff(Duration::from_micros(started));
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let same =
            words.ends_with(&args.iter().flat_map(|word| [word, &b"\0"[..]].concat()).collect::<Vec<_>>());
        (apart <= TOLERANCE && same).then_some(Survivor(pidfd))
    }

    /// Waits for its end.
    pub(crate) fn wait(self) {
        while poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) == Err(rustix::io::Errno::INTR) {}
    }
}

/// When a process was started, since 1970.
fn start_of(process: &Process) -> Option<Duration> {
    let ticks = process.stat().ok()?.starttime;
    let since_boot = Duration::try_from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64).ok()?;
    let uptime = Duration::try_from_secs_f64(Uptime::current().ok()?.uptime).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(uptime.checked_sub(since_boot)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_again_by_its_start_and_its_arguments() {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let started = now();
        let mut child = Command::new("/bin/sleep")
            .arg("60")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let find = |started, word: &str| Survivor::find(child.id(), started, &[word.as_bytes().to_vec()]);
        assert!(find(started - 60_000_000, "600").is_none());
        assert!(find(started, "6").is_none());
        let survivor = find(started, "60").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        survivor.wait();
        assert!(find_gone(child.id(), started));
    }

    fn find_gone(pid: u32, started: u64) -> bool {
        Survivor::find(pid, started, &[b"60".to_vec()]).is_none()
    }
}
