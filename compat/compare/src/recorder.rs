//! The recorder: stands in for modprobe and the other helpers, notes how it was called, and behaves
//! as the scenario says.
//!
//! A recorded helper is a file whose first line is `#!DIR/recorder DIR`; the recorder is this program
//! under that name. So nothing has to be handed down through the daemon that is observed.
#![forbid(unsafe_code)]

use crate::plan::{Plan, Rule};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::SignalFd;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The name by which this program knows that it is a helper.
pub const RECORDER: &str = "recorder";

/// The file of rules, in the recorder's folder.
pub const PLAN: &str = "plan.json";

/// The file of events, in the recorder's folder.
pub const LOG: &str = "helpers.log";

/// What is noted, a line of JSON each.
#[derive(Debug, Deserialize, Serialize)]
pub enum Event {
    /// A helper began.
    Start {
        /// Its pid.
        pid: u32,
        /// When (CLOCK_MONOTONIC).
        ns: u64,
        /// Its file's name.
        program: String,
        /// argv without argv\[0\].
        args: Vec<String>,
        /// Its environment.
        env: BTreeMap<String, String>,
    },
    /// A helper ended by itself.
    End {
        /// Its pid.
        pid: u32,
        /// When.
        ns: u64,
    },
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| Duration::from(now).as_nanos() as u64)
}

/// Plays the helper.
pub fn main() -> ExitCode {
    match play() {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("recorder: {why}");
            ExitCode::from(99)
        }
    }
}

fn play() -> Result<u8, String> {
    let mut words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let (dir, script) = words.next().zip(words.next()).ok_or("called without a folder and a script")?;
    let dir = Path::new(&dir);
    let program = Path::new(&script).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args: Vec<String> = words.collect();
    let rule = rule(dir, &program, &args)?;
    let quit = SigSet::from(Signal::SIGQUIT);
    if rule.on_quit.is_some() {
        quit.thread_block().map_err(|errno| errno.to_string())?;
    }
    let env = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let pid = std::process::id();
    note(dir, &Event::Start { pid, ns: now_ns(), program, args, env: env.collect() })?;
    print(&rule.output);
    let code = wait(&rule, quit)?;
    print(&rule.late_output);
    note(dir, &Event::End { pid, ns: now_ns() })?;
    if let Some(signal) = rule.dies_of {
        let signal = Signal::try_from(signal).map_err(|_| format!("there is no signal {signal}"))?;
        raise(signal).map_err(|errno| errno.to_string())?;
    }
    Ok(code)
}

fn rule(dir: &Path, program: &str, args: &[String]) -> Result<Rule, String> {
    let text =
        std::fs::read_to_string(dir.join(PLAN)).map_err(|error| format!("cannot read {PLAN}: {error}"))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| format!("{PLAN}: {error}"))?;
    Ok(plan.rule(program, args))
}

/// One write to a file opened for appending: lines of helpers at once stay whole.
fn note(dir: &Path, event: &Event) -> Result<(), String> {
    let mut line = serde_json::to_string(event).map_err(|error| error.to_string())?;
    line.push('\n');
    let log = File::options().append(true).create(true).open(dir.join(LOG));
    log.and_then(|mut log| log.write_all(line.as_bytes())).map_err(|error| format!("cannot note: {error}"))
}

fn print(output: &str) {
    // Nobody reads: as for any program that is written to /dev/null or a closed pipe.
    let _ = std::io::stdout().write_all(output.as_bytes()).and_then(|()| std::io::stdout().flush());
}

/// Lets its time pass; the exit code.
fn wait(rule: &Rule, quit: SigSet) -> Result<u8, String> {
    let time = Duration::from_millis(rule.millis());
    let Some(on_quit) = rule.on_quit else {
        std::thread::sleep(time);
        return Ok(rule.exit);
    };
    let signals = SignalFd::new(&quit).map_err(|errno| errno.to_string())?;
    let end = Instant::now() + time;
    let left = end.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let ready = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
    Ok(if ready.map_err(|errno| errno.to_string())? > 0 { on_quit } else { rule.exit })
}
