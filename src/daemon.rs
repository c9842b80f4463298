//! The daemon's life, from start to end: the place to read what happens in which order.
#![forbid(unsafe_code)]

use crate::channel;
use crate::config::Config;
use crate::executor::{Executor, Settings};
use crate::intake_process::{IntakeProcess, Recipe};
use crate::report;
use crate::status::Switches;
use crate::sys;
use kerneld_compat::queue::Queue;
use log::info;
use nix::fcntl::{Flock, FlockArg};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long helpers that run at the end may still take.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that the command line and the configuration say.
#[derive(Clone, Debug)]
pub struct Options {
    /// The queue's key.
    pub key: i32,
    /// Where pid file and state are kept.
    pub state_dir: PathBuf,
    /// Log to standard error and stay.
    pub foreground: bool,
    /// Which types to serve: kerneld's `type=N`, else 1 to 255.
    pub only_type: Option<i64>,
    /// How helpers are run.
    pub settings: Settings,
    /// `delay`, `keep`, `debug` at start.
    pub switches: Switches,
    /// The file.
    pub config: Config,
}

/// Runs the daemon until SIGTERM or SIGINT. `ready` is called once requests are served.
///
/// # Errors
/// A sentence that says what stood in the way of the start.
pub fn run(options: Options, ready: impl FnOnce()) -> Result<(), String> {
    sys::default_signals().map_err(|errno| format!("cannot reset signals: {}", errno.desc()))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    let pid_file = lock_state_dir(&options.state_dir)?;
    let log = start_log(&options)?;
    std::env::set_current_dir("/").map_err(|error| format!("cannot change to /: {error}"))?;
    let queue = channel::open(options.key)?;
    let served = serve(queue, options, log, &mut signals, ready);
    let removed = queue.remove().map_err(|errno| format!("cannot remove the queue: {}", errno.desc()));
    drop(pid_file);
    served.and(removed)
}

fn serve(
    queue: Queue,
    options: Options,
    log: File,
    signals: &mut Signals,
    ready: impl FnOnce(),
) -> Result<(), String> {
    let user = channel::intake_user(&options.config)?;
    channel::give_access(queue, &options.config.queue, user)?;
    let intake = IntakeProcess::start(Recipe { args: intake_args(queue, &options, user), log })?;
    let executor = Executor::start(queue, options.settings, options.switches, intake);
    info!("serving queue {} of key {:#x}", queue.id(), options.key);
    ready();
    sys::detach_standard_streams().map_err(|error| format!("cannot detach from the terminal: {error}"))?;
    wait_for_end(signals);
    executor.stop(GRACE);
    Ok(())
}

fn wait_for_end(signals: &mut Signals) {
    for signal in signals.forever() {
        match signal {
            SIGHUP => info!("SIGHUP: nothing to reread yet"),
            _ => return info!("signal {signal}: ending"),
        }
    }
}

fn start_log(options: &Options) -> Result<File, String> {
    let (log, kernel) = report::open(options.foreground, &options.state_dir)
        .map_err(|error| format!("cannot open a log: {error}"))?;
    let shared = log.try_clone().map_err(|error| format!("cannot share the log: {error}"))?;
    report::start(log, kernel);
    Ok(shared)
}

fn intake_args(queue: Queue, options: &Options, user: Option<(u32, u32)>) -> Vec<String> {
    let mut args = vec![format!("--queue={}", queue.id())];
    args.extend(options.only_type.map(|only| format!("--only-type={only}")));
    args.extend(user.map(|(uid, gid)| format!("--user={uid}:{gid}")));
    args
}

/// Makes the state directory and takes its pid file; two daemons cannot share one.
fn lock_state_dir(dir: &Path) -> Result<Flock<File>, String> {
    let failed = |error: std::io::Error| format!("cannot use the state directory {}: {error}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let path = dir.join("pid");
    let file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, _)| {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        format!("{} belongs to a running kerneld (pid {})", path.display(), pid.trim())
    })?;
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
    Ok(lock)
}
