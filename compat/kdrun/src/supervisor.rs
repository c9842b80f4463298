//! The supervisor: answers the intercepted calls until the last program is gone.
#![forbid(unsafe_code)]

use std::fmt::Arguments;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::admission::{Verdict, admit};
use crate::options::Options;
use crate::seccomp::{Call, Event, Listener};

/// How often a waiting call looks for the daemon's queue. The kernel does not tell when one is made.
const RETRY: Duration = Duration::from_millis(50);

struct Waiting {
    call: Call,
    until: Instant,
}

/// Answers each call of the programs under `listener`'s filter. Returns when none is left.
///
/// # Errors
/// What the listener's system calls say; then the programs' further calls fail with ENOSYS.
pub(super) fn serve(listener: &Listener, options: &Options) -> Result<(), Errno> {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        match listener.next_event((!waiting.is_empty()).then_some(RETRY))? {
            Event::LastExit => return Ok(()),
            Event::Timeout => {}
            Event::Call => waiting.extend(
                listener.receive()?.map(|call| Waiting { call, until: Instant::now() + options.wait }),
            ),
        }
        for one in std::mem::take(&mut waiting) {
            waiting.extend(settle(listener, options, one)?);
        }
    }
}

/// Answers the call, or gives it back when it is to wait on for a daemon.
fn settle(listener: &Listener, options: &Options, one: Waiting) -> Result<Option<Waiting>, Errno> {
    let verdict = admit(options.channel, one.call.thread);
    if verdict == Verdict::NoDaemon && Instant::now() < one.until {
        return Ok(listener.still_waits(&one.call).then_some(one));
    }
    // The caller sleeps in its call from before the verdict until here, or the answer finds nobody:
    // so the thread that the verdict looked at is the thread that gets it.
    listener.answer(&one.call, verdict.result())?;
    say(options, format_args!("thread {}: {verdict}", one.call.thread));
    Ok(None)
}

/// With `--verbose`, a line on standard error. If nobody reads it, that is not a reason to stop.
pub(super) fn say(options: &Options, line: Arguments<'_>) {
    if options.verbose {
        let _ = writeln!(std::io::stderr(), "kdrun: {line}");
    }
}
