//! Playing a helper: record, behave, end.

use crate::place::{NAME, PLAN};
use crate::plan::{Plan, Rule};
use crate::record::{Event, Record, note, now_ns};
use crate::words;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::SignalFd;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The exit status of a recorder that could not record.
const CANNOT: u8 = 120;

/// The directory to record into, if this process was started as a recorder.
pub fn asked_for() -> Option<PathBuf> {
    let called = PathBuf::from(std::env::args_os().next()?);
    (called.file_name()? == NAME).then(|| called.parent().map(Path::to_owned))?
}

/// Records in `dir` how this process was run, then does as the plan there says. Without a plan the last
/// argument says it: `signalN` dies of that signal, `sleepN` takes N milliseconds, `wait…` waits for the
/// file [`GO`](crate::GO) in `dir`, and what ends with `exitN` (after any of these, too) exits with N, else
/// with 0. Returns the exit status: 120 when it could not record.
pub fn run(dir: &Path) -> u8 {
    play(dir).unwrap_or_else(|error| {
        eprintln!("{NAME}: cannot record in {}: {error}", dir.display());
        CANNOT
    })
}

fn play(dir: &Path) -> io::Result<u8> {
    let record = Record::of_this_process()?;
    let Some(plan) = plan(dir)? else {
        let name = record.argv.last().cloned().unwrap_or_default();
        note(dir, &Event::Began(record))?;
        return Ok(words::obey(&name, dir));
    };
    let rule = plan.rule(record.program(), record.argv.get(1..).unwrap_or_default());
    let quit = SigSet::from(Signal::SIGQUIT);
    if rule.on_quit.is_some() {
        quit.thread_block()?;
    }
    let pid = record.pid;
    note(dir, &Event::Began(record))?;
    print(&rule.output);
    let code = wait(&rule, quit)?;
    print(&rule.late_output);
    note(dir, &Event::Ended { pid, ns: now_ns() })?;
    if let Some(signal) = rule.dies_of {
        raise(Signal::try_from(signal)?)?;
    }
    Ok(code)
}

fn plan(dir: &Path) -> io::Result<Option<Plan>> {
    match fs::read(dir.join(PLAN)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn print(output: &str) {
    // Nobody may be reading: then this is written to /dev/null or a closed pipe, as by any program.
    let _ = io::stdout().write_all(output.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Lets the rule's time pass; returns the exit code.
fn wait(rule: &Rule, quit: SigSet) -> io::Result<u8> {
    let time = Duration::from_millis(rule.millis());
    let Some(on_quit) = rule.on_quit else {
        std::thread::sleep(time);
        return Ok(rule.exit);
    };
    let signals = SignalFd::new(&quit)?;
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let ready = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout)?;
    Ok(if ready > 0 { on_quit } else { rule.exit })
}
