//! The command line: kerneld's old words, today's options, and what to run.
#![forbid(unsafe_code)]

use crate::config;
use crate::daemon::{self, Options};
use crate::demo;
use crate::executor::settings::Overrides;
use crate::executor::status::Switches;
use crate::intake::reader;
use crate::modules::store;
use crate::readiness::Readiness;
use crate::sys;
use clap::{Args, Parser, Subcommand};
use kerneld_protocol::defaults::{default_state_dir, parse_key};
use kerneld_protocol::queue::DEFAULT_KEY;
use nix::sys::prctl;
use nix::unistd::setsid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Takes kerneld's messages from a SysV queue and runs modprobe directly, the way kmod does.
#[derive(Parser)]
#[command(name = "kerneld", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Run>,
    #[command(flatten)]
    start: Start,
}

#[derive(Subcommand)]
enum Run {
    /// Shows requests in every layout, what ran and what came back, on a queue and in a folder of its
    /// own. Leaves nothing behind; the exit status is 0 if everything went as expected
    Demo,
    /// Reads the queue for the executor that starts it; not meant to be called by hand
    #[command(hide = true)]
    Intake(IntakeArgs),
    /// Unloads unused modules that came in through kerneld, as `rmmod -a` did
    Autoclean(AutocleanArgs),
}

#[derive(Args, Clone)]
struct Start {
    /// Stay in the foreground, and log to standard error
    #[arg(long)]
    foreground: bool,
    /// The queue's key, decimal or 0x…
    #[arg(long, value_parser = parse_key, default_value_t = DEFAULT_KEY, hide_default_value = true)]
    key: i32,
    /// Where the pid file and other state go [default: /run/kerneld for root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The helper, in place of what /proc/sys/kernel/modprobe names
    #[arg(long, value_name = "PATH")]
    modprobe: Option<PathBuf>,
    /// Log what would run, and answer 0
    #[arg(long)]
    dry_run: bool,
    /// Configuration [default: /etc/kerneld.toml if that file exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Report every mistake in the configuration, and start nothing
    #[arg(long)]
    check_config: bool,
    /// Write a line to this open descriptor once requests are served, and close it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    ready_fd: Option<i32>,
    /// kerneld's words: debug, keep, delay=SECONDS, type=N
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Set by the parent that waits for the daemon to be ready
    #[arg(long, hide = true)]
    in_background: bool,
}

#[derive(Args)]
struct IntakeArgs {
    /// The folder to listen in for the executor
    #[arg(long)]
    sockets: PathBuf,
}

#[derive(Args)]
struct AutocleanArgs {
    /// Do one sweep; a module goes at the second that finds it unused
    #[arg(long, required = true)]
    once: bool,
    /// Print nothing but errors, for a line in a crontab
    #[arg(short, long)]
    quiet: bool,
    /// The daemon's state directory [default: /run/kerneld for root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Does what the command line says; the exit status is 0, or 1 after a message on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Run::Demo) => demo::run(),
        Some(Run::Intake(args)) => reader::run(&args.sockets),
        Some(Run::Autoclean(args)) => autoclean(args),
        None if cli.start.check_config => check_config(cli.start.config.as_deref()),
        None if cli.start.foreground || cli.start.in_background => serve(cli.start),
        None => start_in_background(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kerneld: {why}");
            ExitCode::FAILURE
        }
    }
}

fn autoclean(args: AutocleanArgs) -> Result<(), String> {
    crate::logging::start_on_stderr();
    let swept = store::once(&args.state_dir.unwrap_or_else(default_state_dir))?;
    if args.quiet {
        return Ok(());
    }
    // If the reader has gone away, nobody needs the report.
    let _ = write!(std::io::stdout(), "{swept}");
    Ok(())
}

fn check_config(named: Option<&Path>) -> Result<(), String> {
    let mistakes = match config::check(named) {
        Ok(file) => {
            println!("{}: no mistakes", file.display());
            return Ok(());
        }
        Err(mistakes) => mistakes,
    };
    mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
    let plural = if mistakes.len() == 1 { "" } else { "s" };
    Err(format!("{} mistake{plural} in the configuration", mistakes.len()))
}

/// As in the old program such a word changes nothing; today whoever wrote it gets a message.
fn warn_of_unknown(words: &[String]) {
    for word in words.iter().filter(|word| !Switches::knows(word)) {
        eprintln!(
            "kerneld: the word {word:?} means nothing and is ignored; the known words are {}",
            Switches::WORDS
        );
    }
}

fn serve(start: Start) -> Result<(), String> {
    let mut readiness = Readiness::default();
    if let Some(number) = start.ready_fd {
        let descriptor = sys::inherited(number);
        readiness.by(descriptor.map_err(|error| format!("--ready-fd {number}: {error}"))?);
    }
    if start.in_background {
        setsid().map_err(|errno| format!("cannot leave the terminal's session: {}", errno.desc()))?;
        // For ps, pidof and killall: the program's own name is that of a link in /proc.
        prctl::set_name(c"kerneld")
            .map_err(|errno| format!("cannot set the process name: {}", errno.desc()))?;
        // Of our own, for standard output is /dev/null by the time that we serve.
        let parent = sys::inherited(1);
        readiness.by(parent.map_err(|error| format!("cannot keep the parent's pipe: {error}"))?);
    }
    daemon::run(options(start)?, readiness).map_err(|error| error.to_string())
}

fn options(start: Start) -> Result<Options, String> {
    let config = config::load(start.config.as_deref()).map_err(|error| error.to_string())?;
    warn_of_unknown(&start.words);
    let (switches, only_type) = Switches::from_words(&start.words);
    Ok(Options {
        key: start.key,
        state_dir: absolute(&start.state_dir.unwrap_or_else(default_state_dir))?,
        foreground: start.foreground,
        only_type: checked_type(only_type)?,
        overrides: Overrides {
            modprobe: start.modprobe.as_deref().map(absolute).transpose()?,
            dry_run: start.dry_run,
        },
        switches,
        config,
        config_file: start.config.as_deref().map(absolute).transpose()?,
    })
}

fn checked_type(only: Option<i64>) -> Result<Option<i64>, String> {
    match only {
        Some(number) if i32::try_from(number).is_err() => {
            Err(format!("type={number}: no message type is above {}", i32::MAX))
        }
        only => Ok(only),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("cannot make {} absolute: {error}", path.display()))
}

/// Starts this program again as a daemon and says, as kerneld did, when it serves.
fn start_in_background() -> Result<(), String> {
    let mut daemon = Command::new("/proc/self/exe")
        .arg0("kerneld")
        .args(std::env::args_os().skip(1))
        .arg("--in-background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start in the background: {error}"))?;
    let mut line = String::new();
    let stdout = daemon.stdout.take().ok_or("the daemon has no standard output")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("lost the daemon: {error}"))?;
    if line.is_empty() {
        return Err("the daemon did not start; the reason is above, or in the log".to_owned());
    }
    println!("Starting kerneld, version {} (pid {})", env!("CARGO_PKG_VERSION"), daemon.id());
    Ok(())
}
