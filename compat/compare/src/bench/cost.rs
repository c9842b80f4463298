//! What processes cost, as /proc tells.
#![forbid(unsafe_code)]

use crate::world::process;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fs;
use std::time::Duration;

/// A daemon's process and those below it that are its own program, not helpers.
pub struct Processes(Vec<u32>);

/// Memory of processes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Proportional set size of all together, in KiB.
    pub pss: u64,
}

impl Processes {
    /// The process and its children of the same program.
    pub fn below(pid: u32) -> Self {
        let name = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
        let ours = process::children(pid).into_iter().filter(|child| name(*child) == name(pid));
        Processes([pid].into_iter().chain(ours).collect())
    }

    /// CPU time so far, with that of helpers that have ended.
    ///
    /// # Errors
    /// A sentence: one is gone.
    pub fn cpu(&self) -> Result<Duration, String> {
        self.0.iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Memory now.
    ///
    /// # Errors
    /// A sentence: one is gone.
    pub fn memory(&self) -> Result<Memory, String> {
        let pss = self.0.iter().map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            let text = text.map_err(|error| format!("cannot read the memory of process {pid}: {error}"))?;
            field(&text, "Pss:").ok_or_else(|| format!("process {pid} has no Pss"))
        });
        Ok(Memory { pss: pss.sum::<Result<u64, String>>()? })
    }

    /// How often a thread of theirs woke up in a time in which nobody asked.
    ///
    /// # Errors
    /// A sentence: one is gone.
    pub fn wake_ups(&self, time: Duration) -> Result<u64, String> {
        let before = self.switches();
        std::thread::sleep(time);
        Ok(self.switches().saturating_sub(before))
    }

    fn switches(&self) -> u64 {
        let threads = self.0.iter().flat_map(|pid| process::threads(*pid));
        let status = threads.filter_map(|thread| fs::read_to_string(thread + "/status").ok());
        status.filter_map(|status| field(&status, "voluntary_ctxt_switches:")).sum()
    }
}

/// CPU time of this process and of its children that have ended.
///
/// # Errors
/// A sentence; it has no reason to.
pub fn own_cpu() -> Result<Duration, String> {
    let usage = |who| getrusage(who).map_err(|errno| format!("cannot read the CPU time: {}", errno.desc()));
    let times = [usage(UsageWho::RUSAGE_SELF)?, usage(UsageWho::RUSAGE_CHILDREN)?];
    let micros = |time: nix::sys::time::TimeVal| time.num_microseconds().unsigned_abs();
    Ok(Duration::from_micros(
        times.iter().map(|usage| micros(usage.user_time()) + micros(usage.system_time())).sum(),
    ))
}

/// utime, stime, cutime and cstime of /proc/PID/stat, in the hundredths of a second that it counts.
fn cpu_of(pid: u32) -> Result<Duration, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("cannot read the CPU time of process {pid}: {error}"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("an odd /proc/PID/stat")?;
    let ticks: u64 = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
