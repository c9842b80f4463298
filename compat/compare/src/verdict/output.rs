//! Reports: a table for people; JSON, JUnit and TAP for programs.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::verdict::cells::{Cell, Verdict};
use crate::verdict::suite::{Report, ScenarioReport};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use quick_junit::{FlakyOrRerun, NonSuccessKind, TestCase, TestCaseStatus, TestRerun, TestSuite};
use std::fmt::Write;

/// Said of what was wrong the first time only.
const ONLY_ONCE: &str = "was so once, and not when run again";

/// Said of a scenario that a busy machine disturbed at every attempt.
const TIMES_LEFT_OUT: &str = "times and order were not compared";

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
/// [`Error::Report`]: it cannot be written in this format.
pub fn render(report: &Report, format: Format, all: bool) -> Result<String, Error> {
    match format {
        Format::Table => Ok(table(report, all)),
        Format::Json => {
            serde_json::to_string_pretty(report).map_err(|error| Error::Report(error.to_string()))
        }
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
        for problem in scenario.problems() {
            let _ = writeln!(text, "  !! {problem}");
        }
        if let Some(why) = &scenario.skipped {
            let _ = writeln!(text, "{}: LEFT OUT: {why}", scenario.name);
        }
        if scenario.times_left_out {
            let _ = writeln!(text, "{}: the machine was too busy: {TIMES_LEFT_OUT}", scenario.name);
        }
        for once in &scenario.unsteady {
            let _ = writeln!(text, "  ({ONLY_ONCE}: {once})");
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
        table.add_row([mark, &cell.what.to_string(), &cell.old, &cell.new, &why]);
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

fn summary(report: &Report) -> String {
    let count = |wanted: fn(&ScenarioReport) -> bool| report.scenarios.iter().filter(|s| wanted(s)).count();
    let agree = count(|s| s.passed() && s.cells.iter().all(|cell| cell.verdict == Verdict::Same));
    let (passed, errors) = (count(ScenarioReport::passed), count(|s| s.error.is_some()));
    let skipped = count(|s| s.skipped.is_some());
    format!(
        "{} scenarios: {} the same, {} different as intended, {} different, {errors} not run, {skipped} left out\n",
        report.scenarios.len(),
        agree - skipped,
        passed - agree,
        report.scenarios.len() - passed - errors,
    )
}

fn junit(report: &Report) -> Result<String, Error> {
    let mut suite = TestSuite::new("kerneld-compare");
    for scenario in &report.scenarios {
        let mut status = match (&scenario.error, scenario.passed()) {
            _ if scenario.skipped.is_some() => TestCaseStatus::skipped(),
            (_, true) => TestCaseStatus::success(),
            (Some(error), _) => failure(NonSuccessKind::Error, error),
            (None, false) => failure(NonSuccessKind::Failure, &scenario.problems().join("\n")),
        };
        if !scenario.unsteady.is_empty() {
            let mut first = TestRerun::new(NonSuccessKind::Failure);
            first.set_message(scenario.unsteady.join("\n"));
            // The format's own word for it: flakyFailure.
            status.set_rerun_kind(FlakyOrRerun::Flaky).add_rerun(first);
        }
        suite.add_test_case(TestCase::new(scenario.name.clone(), status));
    }
    for id in &report.stale {
        let status = failure(NonSuccessKind::Failure, "this intended difference is not seen any more");
        suite.add_test_case(TestCase::new(format!("difference {id}"), status));
    }
    let mut junit = quick_junit::Report::new("kerneld-compare");
    junit.add_test_suite(suite);
    junit.to_string().map_err(|error| Error::Report(error.to_string()))
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
        let skip = scenario.skipped.as_ref().map(|why| format!(" # SKIP {why}")).unwrap_or_default();
        let _ = writeln!(text, "{not}ok {} - {}{skip}", at + 1, scenario.name);
        let once = scenario.unsteady.iter().map(|once| format!("{ONLY_ONCE}: {once}"));
        let once = once.chain(scenario.times_left_out.then(|| TIMES_LEFT_OUT.to_owned()));
        for note in scenario.problems().into_iter().chain(once) {
            for line in note.lines() {
                let _ = writeln!(text, "# {line}");
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrong_only_once_is_told_in_every_format() {
        let once = "answer a: old \"status 0\", new \"none\"";
        let scenario = ScenarioReport {
            name: "load".to_owned(),
            unsteady: vec![once.to_owned()],
            ..ScenarioReport::default()
        };
        let (old, new) = ("o".to_owned(), "n".to_owned());
        let report = Report { old, new, scenarios: vec![scenario], stale: Vec::new() };
        let written = |format| render(&report, format, false).unwrap();
        assert!(written(Format::Table).contains(&format!("({ONLY_ONCE}: {once})")));
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["scenarios"][0]["unsteady"][0], once);
        let tap = written(Format::Tap);
        assert_eq!(tap, format!("TAP version 14\n1..1\nok 1 - load\n# {ONLY_ONCE}: {once}\n"));
        let junit = written(Format::Junit);
        let escaped = once.replace('"', "&quot;");
        assert!(junit.contains(&format!("<flakyFailure message=\"{escaped}\"")), "{junit}");
        assert!(junit.contains("failures=\"0\""), "{junit}");
    }
}
