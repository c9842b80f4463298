//! The command line.
#![forbid(unsafe_code)]

use crate::bench;
use crate::pattern::Pattern;
use crate::scenario::{self, trace};
use crate::subject::Subject;
use crate::verdict::differences;
use crate::verdict::output::{self, Format};
use crate::verdict::suite::{self, Suite};
use clap::{Args, Parser, Subcommand};
use kerneld_protocol::wire::Layout;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit status when something could not be run.
const COULD_NOT_RUN: u8 = 2;

/// Runs scenarios on the old kerneld and on the new one, and compares what others can see of both.
///
/// Exit status: 0 when they differ only as intended, 1 when they differ otherwise (or an intended
/// difference is not seen any more), 2 when something could not be run.
#[derive(Parser)]
#[command(name = "kerneld-compare", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    compare: Compare,
}

#[derive(Subcommand)]
enum Other {
    /// Measures how long requests take, beside starting the helper oneself
    Bench(Bench),
}

#[derive(Args)]
struct Bench {
    /// The kerneld to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    new: Option<String>,
    /// An old kerneld to measure beside it
    #[arg(long, value_name = "PATH")]
    old: Option<PathBuf>,
    /// The layout that the old kerneld speaks [default: found by asking it]
    #[arg(long, value_name = "LAYOUT", requires = "old")]
    layout: Option<Layout>,
    /// Clients at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one)]
    clients: usize,
    /// Requests of each workload and subject
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = at_least_one)]
    requests: usize,
    /// How often the subjects take turns
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    rounds: usize,
    /// Delayed releases that wait in the last workload
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    waiting: usize,
    /// The helper [default: a program that does nothing]
    #[arg(long, value_name = "PATH")]
    helper: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long)]
    json: bool,
    /// Write a chart to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text:?} is no number above 0"))
}

#[derive(Args)]
struct Compare {
    /// The old side: model, or a program that serves the channel, as kerneld itself
    #[arg(long, default_value = "model")]
    old: String,
    /// The layout that the old program speaks: ilp32-old, ilp32-new, lp64-old, lp64-new [default: found by
    /// asking it]
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<Layout>,
    /// The new side: a kerneld of ours, or model [default: the kerneld beside this program]
    #[arg(long)]
    new: Option<String>,
    /// A folder of scenarios, or one
    #[arg(long, value_name = "PATH", default_value = "tests/scenarios")]
    scenarios: PathBuf,
    /// In place of scenarios, what the journal of this state directory recorded
    #[arg(long, value_name = "DIR", conflicts_with = "scenarios")]
    trace: Option<PathBuf>,
    /// The intended differences
    #[arg(long, value_name = "FILE", default_value = "tests/differences.toml")]
    differences: PathBuf,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show what agrees, too
    #[arg(long)]
    all: bool,
    /// Scenarios run at a time [default: four for each processor]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    at_once: Option<usize>,
    /// Only scenarios of these names (* stands for any text)
    #[arg(value_name = "NAME", value_parser = Pattern::new)]
    names: Vec<Pattern>,
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Other::Bench(args)) => measure(args),
        None => compare(&cli.compare),
    };
    done.map_or_else(
        |why| {
            eprintln!("kerneld-compare: {why}");
            ExitCode::from(COULD_NOT_RUN)
        },
        ExitCode::from,
    )
}

fn measure(args: &Bench) -> Result<u8, String> {
    let Subject::Ours(new) = new(args.new.as_deref())? else {
        return Err("only a program can be measured".to_owned());
    };
    let Bench { clients, requests, rounds, waiting, .. } = *args;
    let helper = args.helper.clone();
    let old = args.old.as_deref().map(|old| to_measure(old, args.layout)).transpose()?;
    let report = bench::run(&bench::Options { new, old, clients, requests, rounds, waiting, helper })?;
    if let Some(file) = &args.svg {
        std::fs::write(file, bench::chart::svg(&report))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let json = || serde_json::to_string_pretty(&report).map_err(|error| error.to_string());
    print(&if args.json { json()? } else { bench::text(&report) });
    Ok(0)
}

/// An old program, and the newest layout that it speaks.
fn to_measure(old: &Path, layout: Option<Layout>) -> Result<(PathBuf, Layout), String> {
    let old = program(old)?;
    let layout = Subject::old(old.clone(), layout)?.layout();
    Ok((old, layout))
}

/// A reader that has gone away has seen enough.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn compare(args: &Compare) -> Result<u8, String> {
    let (old, new) = (old(&args.old, args.layout)?, new(args.new.as_deref())?);
    let new = new.beside(&old);
    let differences = differences::load(&args.differences)?;
    let mut scenarios = match &args.trace {
        Some(dir) => vec![trace::load(dir)?],
        None => scenario::load(&args.scenarios, old.layout())?,
    };
    if !args.names.is_empty() {
        scenarios.retain(|scenario| args.names.iter().any(|name| name.matches(&scenario.name)));
    }
    if scenarios.is_empty() {
        return Err("no scenario has a name like that".to_owned());
    }
    let complete = args.names.is_empty() && args.trace.is_none() && args.scenarios.is_dir();
    let at_once = args.at_once.unwrap_or_else(suite::at_once);
    let suite = Suite { old: &old, new: &new, differences: &differences, complete, at_once };
    let report = suite.run(&scenarios);
    print(&output::render(&report, args.format, args.all)?);
    Ok(report.exit_status())
}

fn old(name: &str, layout: Option<Layout>) -> Result<Subject, String> {
    match name {
        "model" => Ok(Subject::MODEL),
        path => Ok(Subject::old(program(Path::new(path))?, layout)?),
    }
}

fn new(name: Option<&str>) -> Result<Subject, String> {
    match name {
        Some("model") => Ok(Subject::MODEL),
        Some(path) => program(Path::new(path)).map(Subject::Ours),
        None => program(&beside_us("kerneld")?).map(Subject::Ours),
    }
}

/// A program of this project: beside this one.
fn beside_us(name: &str) -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    Ok(exe.with_file_name(name))
}

fn program(path: &Path) -> Result<PathBuf, String> {
    std::fs::canonicalize(path).map_err(|error| format!("there is no program {}: {error}", path.display()))
}
