//! Reports: a table for people; JSON, JUnit and TAP for programs.
#![forbid(unsafe_code)]

use crate::compare::{Cell, Verdict};
use crate::suite::{Report, ScenarioReport};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::fmt::Write;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// Everything.
    Json,
    /// A test case a scenario.
    Junit,
    /// A line a scenario (TAP 14).
    Tap,
}

/// Writes a report; `all`: also cells that agree.
///
/// # Errors
/// A sentence: it cannot be written in this format.
pub fn render(report: &Report, format: Format, all: bool) -> Result<String, String> {
    match format {
        Format::Table => Ok(table(report, all)),
        Format::Json => serde_json::to_string_pretty(report).map_err(|error| error.to_string()),
        Format::Junit => junit(report),
        Format::Tap => Ok(tap(report)),
    }
}

fn table(report: &Report, all: bool) -> String {
    let mut text = String::new();
    for scenario in &report.scenarios {
        let differs = scenario.cells.iter().any(|cell| cell.verdict != Verdict::Same);
        if all || differs || !scenario.passed() {
            let _ = writeln!(text, "{}: {}", scenario.name, scenario.about);
            let _ = writeln!(text, "{}", cells(scenario, report, all));
        }
        for problem in problems(scenario) {
            let _ = writeln!(text, "  !! {problem}");
        }
        for note in &scenario.unsteady {
            let _ = writeln!(text, "  (differed once, and not when run again: {note})");
        }
    }
    for id in &report.stale {
        let _ = writeln!(text, "!! intended difference {id:?} is not seen any more: take it out of the list");
    }
    text + &summary(report)
}

fn cells(scenario: &ScenarioReport, report: &Report, all: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        table.set_width(160);
    }
    table.set_header(["", "", &format!("old: {}", report.old), &format!("new: {}", report.new), "why"]);
    for cell in scenario.cells.iter().filter(|cell| all || cell.verdict != Verdict::Same) {
        let (mark, why) = mark(cell);
        table.add_row([mark, &cell.what, &cell.old, &cell.new, &why]);
    }
    table
}

fn mark(cell: &Cell) -> (&'static str, String) {
    match &cell.verdict {
        Verdict::Same => ("", String::new()),
        Verdict::Intended { id, why } => ("≠", format!("{why} [{id}]")),
        Verdict::Unexplained => ("!!", "not in the list of differences".to_owned()),
    }
}

fn problems(scenario: &ScenarioReport) -> Vec<String> {
    let mut problems: Vec<String> =
        scenario.error.iter().map(|error| format!("could not be run: {error}")).collect();
    problems.extend(scenario.unmet.iter().map(|unmet| format!("expected otherwise: {unmet}")));
    problems.extend(
        scenario.unexplained().map(|cell| format!("{}: old {:?}, new {:?}", cell.what, cell.old, cell.new)),
    );
    problems
}

fn summary(report: &Report) -> String {
    let count = |wanted: fn(&ScenarioReport) -> bool| report.scenarios.iter().filter(|s| wanted(s)).count();
    let agree = count(|s| s.passed() && s.cells.iter().all(|cell| cell.verdict == Verdict::Same));
    let (passed, errors) = (count(ScenarioReport::passed), count(|s| s.error.is_some()));
    format!(
        "{} scenarios: {agree} the same, {} different as intended, {} different, {errors} not run\n",
        report.scenarios.len(),
        passed - agree,
        report.scenarios.len() - passed - errors,
    )
}

fn junit(report: &Report) -> Result<String, String> {
    let mut suite = TestSuite::new("kerneld-compare");
    for scenario in &report.scenarios {
        let status = match (&scenario.error, scenario.passed()) {
            (_, true) => TestCaseStatus::success(),
            (Some(error), _) => failure(NonSuccessKind::Error, error),
            (None, false) => failure(NonSuccessKind::Failure, &problems(scenario).join("\n")),
        };
        suite.add_test_case(TestCase::new(scenario.name.clone(), status));
    }
    for id in &report.stale {
        let status = failure(NonSuccessKind::Failure, "this intended difference is not seen any more");
        suite.add_test_case(TestCase::new(format!("difference {id}"), status));
    }
    let mut junit = quick_junit::Report::new("kerneld-compare");
    junit.add_test_suite(suite);
    junit.to_string().map_err(|error| error.to_string())
}

fn failure(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn tap(report: &Report) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", report.scenarios.len() + report.stale.len());
    for (at, scenario) in report.scenarios.iter().enumerate() {
        let not = if scenario.passed() { "" } else { "not " };
        let _ = writeln!(text, "{not}ok {} - {}", at + 1, scenario.name);
        for line in problems(scenario).iter().flat_map(|problem| problem.lines()) {
            let _ = writeln!(text, "# {line}");
        }
    }
    for (at, id) in report.stale.iter().enumerate() {
        let _ = writeln!(
            text,
            "not ok {} - difference {id} is not seen any more",
            report.scenarios.len() + at + 1
        );
    }
    text
}
