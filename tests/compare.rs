//! Every scenario on the model of the old kerneld and on this one: a difference that
//! `differences.toml` does not explain is a failure, and so is an explanation of nothing.

use kerneld_compare::subject::Subject;
use kerneld_compare::verdict::differences;
use kerneld_compare::verdict::output::{Format, render};
use kerneld_compare::verdict::suite::Suite;
use kerneld_compare::{bench, role, scenario};
use kerneld_protocol::wire::Layout;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = role::played() {
        return done;
    }
    compare().unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::FAILURE
    })
}

/// Arguments are parts of scenario names, as for other tests; options of the usual harness mean nothing here.
fn compare() -> Result<ExitCode, String> {
    let names: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut scenarios = scenario::load(Path::new("tests/scenarios"), Layout::Lp64New)?;
    let all = scenarios.len();
    scenarios.retain(|scenario| names.is_empty() || names.iter().any(|name| scenario.name.contains(name)));
    let suite = Suite {
        old: &Subject::MODEL,
        new: &Subject::Ours(env!("CARGO_BIN_EXE_kerneld").into()),
        differences: &differences::load(Path::new("tests/differences.toml"))?,
        complete: scenarios.len() == all,
        at_once: 12,
    };
    let report = suite.run(&scenarios);
    print!("{}", render(&report, Format::Tap, false)?);
    if names.is_empty() {
        measures()?;
    }
    Ok(ExitCode::from(report.exit_status()))
}

/// The benchmark runs to its end and has a figure for everybody; which one is the machine's business.
fn measures() -> Result<(), String> {
    let new = env!("CARGO_BIN_EXE_kerneld").into();
    let report = bench::run(&bench::Options {
        new,
        old: None,
        clients: 3,
        requests: 12,
        rounds: 2,
        waiting: 20,
        helper: None,
    })?;
    let complete = report.rows.len() == 9 && report.rows.iter().all(|row| row.figures.p50 > 0.0);
    let drawn = bench::chart::svg(&report).contains("the limit");
    if complete && drawn { Ok(()) } else { Err(format!("the benchmark left something out: {report:?}")) }
}
