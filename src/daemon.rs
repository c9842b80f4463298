//! The daemon's life, from start to end: what happens in which order.
#![forbid(unsafe_code)]

use crate::config::{self, Config};
use crate::executor::Executor;
use crate::executor::clock::Clock;
use crate::executor::life::Life;
use crate::executor::persist::PersistQueue;
use crate::executor::settings::{Overrides, Settings};
use crate::executor::status::{StatusDesk, Switches};
use crate::executor::work::Work;
use crate::helper::cpus::Cpus;
use crate::helper::ends::Ends;
use crate::helper::running::Helpers;
use crate::intake::process::{Changing, Plan};
use crate::intake::source::Source;
use crate::intake::told::Sockets;
use crate::intake::user::intake_user;
use crate::modules::care::ModuleCare;
use crate::modules::kernel::Kernel;
use crate::modules::store::Store;
use crate::order::judge::PersistNumbers;
use crate::queue::answers::Answers;
use crate::queue::foreign::ForeignMessages;
use crate::queue::memory::Memory;
use crate::queue::outbox::Outbox;
use crate::queue::ownership;
use crate::readiness::Readiness;
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
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// How long helpers that run at the end may still take.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that the command line and the configuration say.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The queue's key.
    pub(crate) key: i32,
    /// Where pid file and state are kept.
    pub(crate) state_dir: PathBuf,
    /// Log to standard error and stay.
    pub(crate) foreground: bool,
    /// Which types to serve: the number of kerneld's `type=N`; else 1 to 255.
    pub(crate) only_type: Option<i64>,
    /// What the command line says of helpers.
    pub(crate) overrides: Overrides,
    /// `delay`, `keep`, `debug` at start.
    pub(crate) switches: Switches,
    /// The file, and where it was read from if `--config` named it.
    pub(crate) config: Config,
    /// `--config`.
    pub(crate) config_file: Option<PathBuf>,
}

impl Options {
    /// Which requests are served.
    fn select(&self) -> Select {
        self.only_type.map_or(Select::UpTo(255), Select::of_word)
    }
}

/// Runs the daemon until SIGTERM or SIGINT. `readiness` is told once requests are served.
///
/// # Errors
/// A sentence that says what prevented the start, or what ended the service.
pub(crate) fn run(options: Options, readiness: Readiness) -> Result<(), String> {
    sys::default_signals().map_err(|errno| format!("cannot reset signals: {}", errno.desc()))?;
    sys::close_on_exec()
        .map_err(|errno| format!("cannot keep descriptors from helpers: {}", errno.desc()))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    let pid_file = lock_state_dir(&options.state_dir)?;
    start_log(&options)?;
    std::env::set_current_dir("/").map_err(|error| format!("cannot change to /: {error}"))?;
    let memory = Memory::open(options.key)?.ok_or_else(|| ownership::served(options.key))?;
    let served = with_memory(memory, options, &mut signals, readiness);
    let removed = memory.remove();
    drop(pid_file);
    served.and(removed)
}

fn with_memory(
    memory: Memory,
    options: Options,
    signals: &mut Signals,
    readiness: Readiness,
) -> Result<(), String> {
    let queue = ownership::open(options.key, memory.taken_over())?;
    let served = serve(queue, memory, options, signals, readiness);
    let removed = queue.remove().map_err(|errno| format!("cannot remove the queue: {}", errno.desc()));
    served.and(removed)
}

fn serve(
    queue: Queue,
    memory: Memory,
    options: Options,
    signals: &mut Signals,
    readiness: Readiness,
) -> Result<(), String> {
    let user = intake_user(&options.config)?;
    ownership::give_access(queue, &options.config.queue, user)?;
    let cpus = Cpus::stay_on_one();
    let (journal, recovered) = open_journal(queue, &options)?;
    let sockets = Sockets::make(&options.state_dir)?;
    let changing = Changing { persist: persist_numbers(&options.config), user };
    let plan = Plan {
        memory,
        sockets: sockets.short_path(),
        queue,
        only_type: options.only_type,
        changing: Arc::new(RwLock::new(changing)),
    };
    let source = Source::start(plan, memory.position(queue.id()), journal.next_request())?;
    let settings = Settings::resolve(&options.config, &options.overrides);
    sys::detach_standard_streams().map_err(|error| format!("cannot detach from the terminal: {error}"))?;
    let life = Arc::new(life(queue, &options, settings, cpus, journal)?);
    let foreign = ForeignMessages::new(queue, Instant::now());
    // Before anything new is taken: what helpers of before are still doing is not to be done beside them.
    life.take_up_again(&recovered);
    let executor = Executor::start(Arc::clone(&life), foreign, source)?;
    info!("serving queue {} of key {:#x}", queue.id(), options.key);
    readiness.tell();
    wait_for_end(signals, || reread(&options, queue, &life, &executor));
    executor.stop(GRACE);
    executor.failure().map_or(Ok(()), Err)
}

/// The life of requests under these settings.
fn life(
    queue: Queue,
    options: &Options,
    settings: Settings,
    cpus: Cpus,
    journal: Journal,
) -> Result<Life, String> {
    let (helpers, interval) = (Arc::new(Helpers::new(cpus)), options.switches.sweep_interval());
    let store = Store::open(&options.state_dir, Kernel::default());
    Ok(Life {
        queue,
        served: options.select(),
        status: StatusDesk::new(options.switches),
        work: Work::new(settings.at_once, settings.busy_limit),
        settings: RwLock::new(Arc::new(settings)),
        answers: Answers::new(Outbox::new(queue), journal),
        persist: PersistQueue::default(),
        care: Arc::new(ModuleCare::new(store, Arc::clone(&helpers), interval)),
        helpers,
        ends: Ends::new().map_err(|errno| format!("cannot make an epoll: {errno}"))?,
        clock: Clock::default(),
    })
}

/// SIGHUP: the configuration again, and whether there is a route helper. A mistake in it leaves the old
/// one in force.
fn reread(options: &Options, queue: Queue, life: &Life, executor: &Executor) {
    let reread =
        config::load(options.config_file.as_deref()).map_err(|error| error.to_string()).and_then(|config| {
            let user = intake_user(&config)?;
            ownership::give_access(queue, &config.queue, user)?;
            if options.config.journal != config.journal {
                warn!("SIGHUP: [journal] takes effect at the next start");
            }
            executor.change_intake(Changing { persist: persist_numbers(&config), user });
            life.set_settings(Settings::resolve(&config, &options.overrides));
            Ok(())
        });
    match reread {
        Ok(()) => info!("SIGHUP: the configuration is read again"),
        Err(error) => warn!("SIGHUP: {error}; the old configuration stays in force"),
    }
}

fn persist_numbers(config: &Config) -> PersistNumbers {
    PersistNumbers { get: config.persist.get_number.into(), set: config.persist.set_number.into() }
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
        return Err(format!(
            "the state directory {} belongs to user {owner}, not to the user who starts kerneld",
            dir.display()
        ));
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
