//! The daemon's life, from start to end: the place to read what happens in which order.
#![forbid(unsafe_code)]

use crate::config::{self, Config};
use crate::executor::settings::{Overrides, Settings};
use crate::executor::status::Switches;
use crate::executor::{Executor, Parts};
use crate::helper::cpus::Cpus;
use crate::intake::memory::Memory;
use crate::intake::process::Plan;
use crate::intake::sockets::Sockets;
use crate::intake::source::Source;
use crate::intake::user::intake_user;
use crate::modules::kernel::Kernel;
use crate::modules::store::Store;
use crate::queue::ownership;
use crate::sys;
use kerneld_journal::{Accepted, Journal, Started};
use kerneld_protocol::queue::{Queue, Select};
use log::{info, warn};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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
    /// What the command line says of helpers.
    pub overrides: Overrides,
    /// `delay`, `keep`, `debug` at start.
    pub switches: Switches,
    /// The file, and where it was read from if `--config` named it.
    pub config: Config,
    /// `--config`.
    pub config_file: Option<PathBuf>,
}

impl Options {
    /// Which requests are served.
    fn select(&self) -> Select {
        self.only_type.map_or(Select::UpTo(255), Select::Exactly)
    }
}

/// Runs the daemon until SIGTERM or SIGINT. `ready` is called once requests are served.
///
/// # Errors
/// A sentence that says what stood in the way of the start.
pub fn run(options: Options, ready: impl FnOnce()) -> Result<(), String> {
    sys::default_signals().map_err(|errno| format!("cannot reset signals: {}", errno.desc()))?;
    sys::close_on_exec()
        .map_err(|errno| format!("cannot keep descriptors from helpers: {}", errno.desc()))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    let pid_file = lock_state_dir(&options.state_dir)?;
    start_log(&options)?;
    std::env::set_current_dir("/").map_err(|error| format!("cannot change to /: {error}"))?;
    let memory = Memory::open(options.key)?;
    let served = with_memory(&memory, options, &mut signals, ready);
    let removed = memory.remove();
    drop(pid_file);
    served.and(removed)
}

fn with_memory(
    memory: &Memory,
    options: Options,
    signals: &mut Signals,
    ready: impl FnOnce(),
) -> Result<(), String> {
    let queue = ownership::open(options.key, memory.taken_over())?;
    let served = serve(queue, *memory, options, signals, ready);
    let removed = queue.remove().map_err(|errno| format!("cannot remove the queue: {}", errno.desc()));
    served.and(removed)
}

fn serve(
    queue: Queue,
    memory: Memory,
    options: Options,
    signals: &mut Signals,
    ready: impl FnOnce(),
) -> Result<(), String> {
    let user = intake_user(&options.config)?;
    ownership::give_access(queue, &options.config.queue, user)?;
    let cpus = Cpus::stay_on_one();
    let (journal, recovered) = open_journal(queue, &options)?;
    let settings = Settings::resolve(&options.config, &options.overrides);
    let sockets = Sockets::make(&options.state_dir)?;
    let plan = Plan { memory, sockets: sockets.short_path(), queue, only_type: options.only_type, user };
    let source = Source::start(plan, settings.persist, memory.position(queue.id()), journal.next_request())?;
    sys::detach_standard_streams().map_err(|error| format!("cannot detach from the terminal: {error}"))?;
    let ours = Store::open(&options.state_dir, Kernel::default());
    let (served, switches) = (options.select(), options.switches);
    let executor = Executor::start(Parts { queue, served, cpus, switches, journal, ours }, settings, source)?;
    executor.recover(recovered);
    info!("serving queue {} of key {:#x}", queue.id(), options.key);
    ready();
    wait_for_end(signals, || reread(&options, queue, user, &executor));
    executor.stop(GRACE);
    Ok(())
}

/// SIGHUP: the configuration again, and whether there is a route helper. A mistake in it leaves the old
/// one in force.
fn reread(options: &Options, queue: Queue, user: Option<(u32, u32)>, executor: &Executor) {
    let reread = config::load(options.config_file.as_deref()).and_then(|config| {
        ownership::give_access(queue, &config.queue, user)?;
        warn_of_what_waits(&options.config, &config);
        executor.set_settings(Settings::resolve(&config, &options.overrides));
        Ok(())
    });
    match reread {
        Ok(()) => info!("SIGHUP: the configuration is read again"),
        Err(error) => warn!("SIGHUP: {error}; the old configuration stays in force"),
    }
}

/// What a running intake and an open journal cannot change.
fn warn_of_what_waits(old: &Config, new: &Config) {
    let fixed = |config: &Config| (config.intake.clone(), config.journal.clone());
    if fixed(old) != fixed(new) {
        warn!("SIGHUP: [intake] and [journal] take effect at the next start");
    }
}

/// The journal, and the requests that a daemon before us left unanswered on this same queue.
fn open_journal(queue: Queue, options: &Options) -> Result<(Journal, Vec<Accepted>), String> {
    let started = Started::now(env!("CARGO_PKG_VERSION"), queue.id(), options.key);
    let (journal, recovered) = Journal::open(&options.state_dir, options.config.journal.size, started)?;
    for problem in &recovered.problems {
        warn!("{problem}");
    }
    let same_queue = recovered.previous.is_some_and(|previous| previous.queue == queue.id());
    let (ours, gone): (Vec<_>, Vec<_>) = recovered.requests.into_iter().partition(|_| same_queue);
    for request in gone {
        journal.answered(request.request, -libc::EINTR, 0);
    }
    Ok((journal, ours))
}

fn wait_for_end(signals: &mut Signals, mut reread: impl FnMut()) {
    for signal in signals.forever() {
        match signal {
            SIGHUP => reread(),
            _ => return info!("signal {signal}: ending"),
        }
    }
}

fn start_log(options: &Options) -> Result<(), String> {
    let (log, kernel) = crate::logging::open(options.foreground, &options.state_dir)
        .map_err(|error| format!("cannot open a log: {error}"))?;
    crate::logging::start(log, kernel);
    Ok(())
}

/// Makes the state directory and takes its pid file; two daemons cannot share one.
fn lock_state_dir(dir: &Path) -> Result<Flock<File>, String> {
    let failed = |error: std::io::Error| format!("cannot use the state directory {}: {error}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let owner = dir.symlink_metadata().map_err(failed)?.uid();
    if owner != Uid::effective().as_raw() {
        return Err(format!("the state directory {} belongs to user {owner}, not to us", dir.display()));
    }
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
