//! The daemon's life, from start to end: what happens in which order.
#![forbid(unsafe_code)]

use crate::config::{self, Config};
use crate::executor::Executor;
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
use crate::order::message::served_types;
use crate::queue::answers::Answers;
use crate::queue::foreign::ForeignMessages;
use crate::queue::memory::{Memory, MemoryError};
use crate::queue::outbox::Outbox;
use crate::queue::ownership::{self, Access, OwnQueue, QueueError};
use crate::readiness::Readiness;
use crate::state_dir::{StateDir, StateDirError};
use crate::sys;
use kerneld_journal::{Accepted, Journal, Started, Unusable};
use kerneld_protocol::queue::Queue;
use log::{info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
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
    /// Stay in the foreground, and log to standard error.
    pub(crate) foreground: bool,
    /// Which types to serve: kerneld's `type=N`, else 1 to 255.
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

/// What prevents the start, or ends the service.
#[derive(Debug)]
pub(crate) enum DaemonError {
    /// The system refuses: what was to be done, and why not.
    Refused(&'static str, io::Error),
    /// The state directory cannot be had.
    StateDir(StateDirError),
    /// There is no memory for messages.
    Memory(MemoryError),
    /// There is no queue to serve.
    Queue(QueueError),
    /// Requests cannot be recorded.
    Journal(Unusable),
    /// A part has said why it cannot start or go on.
    Said(String),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonError::Refused(what, error) => write!(f, "cannot {what}: {error}"),
            DaemonError::StateDir(error) => error.fmt(f),
            DaemonError::Memory(error) => error.fmt(f),
            DaemonError::Queue(error) => error.fmt(f),
            DaemonError::Journal(error) => error.fmt(f),
            DaemonError::Said(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DaemonError {}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for DaemonError {
            fn from(error: $error) -> Self {
                DaemonError::$variant(error)
            }
        })*
    };
}
from!(StateDirError => StateDir, MemoryError => Memory, QueueError => Queue, Unusable => Journal, String => Said);

/// The system's refusal of what was to be done.
fn refused<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> DaemonError {
    move |error| DaemonError::Refused(what, error.into())
}

/// Runs the daemon until SIGTERM or SIGINT. `readiness` is signalled once requests are served.
///
/// # Errors
/// What prevented the start, or what ended the service.
pub(crate) fn run(options: Options, readiness: Readiness) -> Result<(), DaemonError> {
    sys::close_inherited(&readiness.descriptors()).map_err(refused("close descriptors"))?;
    sys::default_signals().map_err(refused("reset signals"))?;
    ignore_file_size_limit().map_err(refused("listen for signals"))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(refused("listen for signals"))?;
    let state_dir = StateDir::take(&options.state_dir)?;
    start_log(&options)?;
    std::env::set_current_dir("/").map_err(refused("change to /"))?;
    let user = intake_user(&options.config)?;
    let uid = user.map(|(uid, _)| uid);
    let memory = Memory::open(options.key)?.ok_or_else(|| ownership::served(options.key, uid))?;
    let alone = memory.taken_over();
    let opened = ownership::open(options.key, uid, alone).inspect_err(|_| {
        let _ = (!alone).then(|| memory.remove());
    })?;
    let queue = Arc::new(OwnQueue::new(options.key, opened.queue));
    let served = serve(&queue, memory, user, options, &mut signals, readiness);
    match served {
        Ok(None) => ownership::leave(queue.now()).map_err(refused("remove the queue"))?,
        // It stays, with what waits on it and in the ring, for a daemon that a service manager may start next.
        Ok(Some(why)) => return Err(why.into()),
        Err(why) => {
            if opened.is_new {
                let _ = queue.now().remove();
                let _ = memory.remove();
            }
            return Err(why);
        }
    }
    memory.remove()?;
    state_dir.give_up();
    Ok(())
}

/// A write past the limit fails then, and does not end the daemon. A handler, which helpers do not inherit.
fn ignore_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Serves requests; why that had to end, unless a signal ended it.
fn serve(
    queue: &Arc<OwnQueue>,
    memory: Memory,
    user: Option<(u32, u32)>,
    options: Options,
    signals: &mut Signals,
    readiness: Readiness,
) -> Result<Option<String>, DaemonError> {
    let uid = user.map(|(uid, _)| uid);
    let access = Access { config: options.config.queue.clone(), intake: uid };
    queue.give_access(access)?;
    warn_of(&options.config);
    let cpus = Cpus::stay_on_one();
    let (journal, recovered) = open_journal(queue.now(), &options)?;
    let sockets = Sockets::make(&options.state_dir)?;
    let source = Source::start(
        plan(queue, memory, user, &sockets, &options),
        memory.position(queue.now().id()),
        journal.next_request(),
    )?;
    let settings = Settings::resolve(&options.config, &options.overrides);
    sys::detach_standard_streams().map_err(refused("detach from the terminal"))?;
    let life = Arc::new(life(queue, &options, settings, cpus, journal)?);
    let foreign = ForeignMessages::new(Arc::clone(queue), Instant::now());
    // Before anything new is taken: what earlier helpers are still doing must not be done twice at once.
    life.take_up_again(&recovered);
    let executor = Executor::start(Arc::clone(&life), foreign, source)?;
    info!("serving queue {} of key {:#x}", queue.now().id(), options.key);
    readiness.tell();
    wait_for_end(signals, || reread(&options, &life, &executor));
    executor.stop(GRACE);
    Ok(executor.failure())
}

/// How intakes are started.
fn plan(
    queue: &Arc<OwnQueue>,
    memory: Memory,
    user: Option<(u32, u32)>,
    sockets: &Sockets,
    options: &Options,
) -> Plan {
    let changing = Changing { persist: persist_numbers(&options.config), user };
    let (sockets, only_type) = (sockets.short_path(), options.only_type);
    Plan { memory, sockets, queue: Arc::clone(queue), only_type, changing: Arc::new(RwLock::new(changing)) }
}

/// The life of requests under these settings.
fn life(
    queue: &Arc<OwnQueue>,
    options: &Options,
    settings: Settings,
    cpus: Cpus,
    journal: Journal,
) -> Result<Life, DaemonError> {
    let (helpers, interval) = (Arc::new(Helpers::new(cpus)), options.switches.sweep_interval());
    let store = Store::open(&options.state_dir, Kernel::default());
    Ok(Life {
        queue: Arc::clone(queue),
        served: served_types(options.only_type),
        status: StatusDesk::new(options.switches),
        work: Work::new(settings.at_once, settings.busy_limit),
        settings: RwLock::new(Arc::new(settings)),
        answers: Answers::new(Outbox::new(Arc::clone(queue)), journal),
        persist: PersistQueue::default(),
        care: Arc::new(ModuleCare::new(store, Arc::clone(&helpers), interval)),
        helpers,
        ends: Ends::new().map_err(refused("make an epoll"))?,
        clock: Default::default(),
    })
}

/// SIGHUP: the configuration again, and whether there is a route helper. A mistake in it leaves the old
/// one in force.
fn reread(options: &Options, life: &Life, executor: &Executor) {
    let reread =
        config::load(options.config_file.as_deref()).map_err(|error| error.to_string()).and_then(|config| {
            let user = intake_user(&config)?;
            let access = Access { config: config.queue.clone(), intake: user.map(|(uid, _)| uid) };
            life.queue.give_access(access).map_err(|error| error.to_string())?;
            warn_of(&config);
            if options.config.journal != config.journal {
                warn!("SIGHUP: [journal] takes effect at the next start");
            }
            executor.change_intake(Changing { persist: persist_numbers(&config), user });
            life.set_settings(Settings::resolve(&config, &options.overrides));
            Ok(())
        });
    match reread {
        Ok(()) => info!("SIGHUP: the configuration has been read again"),
        Err(error) => warn!("SIGHUP: {error}; the old configuration stays in force"),
    }
}

fn warn_of(config: &Config) {
    if let Some(warning) = config.warning() {
        warn!("{warning}");
    }
}

fn persist_numbers(config: &Config) -> PersistNumbers {
    PersistNumbers { get: config.persist.get_number.into(), set: config.persist.set_number.into() }
}

/// The journal, and the requests that a daemon before us left unanswered on this same queue.
fn open_journal(queue: Queue, options: &Options) -> Result<(Journal, Vec<Accepted>), DaemonError> {
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

fn start_log(options: &Options) -> Result<(), DaemonError> {
    let (log, kernel) =
        crate::logging::open(options.foreground, &options.state_dir).map_err(refused("open a log"))?;
    crate::logging::start(log, kernel);
    Ok(())
}
