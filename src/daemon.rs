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
use crate::queue::memory::Memory;
use crate::queue::outbox::Outbox;
use crate::queue::ownership::{self, Access, OwnQueue};
use crate::readiness::Readiness;
use crate::state_dir::StateDir;
use crate::sys;
use kerneld_journal::{Accepted, Journal, Started};
use kerneld_protocol::queue::Queue;
use log::{info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::fmt::Display;
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

/// Runs the daemon until SIGTERM or SIGINT. `readiness` is signalled once requests are served.
///
/// # Errors
/// A sentence that says what prevented the start, or what ended the service.
pub(crate) fn run(options: Options, readiness: Readiness) -> Result<(), String> {
    let failed = |what: &str, why: &dyn Display| format!("cannot {what}: {why}");
    sys::close_inherited(&readiness.descriptors()).map_err(|errno| failed("close descriptors", &errno))?;
    sys::default_signals().map_err(|errno| failed("reset signals", &errno.desc()))?;
    ignore_file_size_limit().map_err(|error| failed("listen for signals", &error))?;
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|error| failed("listen for signals", &error))?;
    let state_dir = StateDir::take(&options.state_dir).map_err(|error| error.to_string())?;
    start_log(&options)?;
    std::env::set_current_dir("/").map_err(|error| failed("change to /", &error))?;
    let user = intake_user(&options.config)?;
    let uid = user.map(|(uid, _)| uid);
    let memory = Memory::open(options.key)?.ok_or_else(|| ownership::served(options.key, uid).to_string())?;
    let alone = memory.taken_over();
    let opened = ownership::open(options.key, uid, alone).map_err(|error| {
        let _ = (!alone).then(|| memory.remove());
        error.to_string()
    })?;
    let queue = Arc::new(OwnQueue::new(options.key, opened.queue));
    let served = serve(&queue, memory, user, options, &mut signals, readiness);
    match served {
        Ok(None) => {
            ownership::leave(queue.now()).map_err(|errno| failed("remove the queue", &errno.desc()))?
        }
        // It stays, with what waits on it and in the ring, for a daemon that a service manager may start next.
        Ok(Some(why)) => return Err(why),
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
) -> Result<Option<String>, String> {
    let uid = user.map(|(uid, _)| uid);
    let access = Access { config: options.config.queue.clone(), intake: uid };
    queue.give_access(access).map_err(|error| error.to_string())?;
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
    sys::detach_standard_streams().map_err(|error| format!("cannot detach from the terminal: {error}"))?;
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
) -> Result<Life, String> {
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
        ends: Ends::new().map_err(|errno| format!("cannot make an epoll: {errno}"))?,
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
