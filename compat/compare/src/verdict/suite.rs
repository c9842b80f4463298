//! Runs scenarios on both subjects, several at a time, and gathers the report.
#![forbid(unsafe_code)]

use crate::cell_name::CellName;
use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::subject::Subject;
use crate::verdict::cells::{Cell, Verdict, compare, unmet};
use crate::verdict::differences::Difference;
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;

/// Milliseconds that something may have come late; with more, times and order say nothing of the daemon.
const LATE: u64 = 200;

/// How often a scenario is run again because the machine was too busy.
const PATIENCE: usize = 5;

/// Scenarios to run at a time: most of them sleep most of the time.
pub fn at_once() -> usize {
    thread::available_parallelism().map_or(4, |processors| 4 * processors.get())
}

/// What came of a scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Everything seen, side by side.
    pub cells: Vec<Cell>,
    /// Expectations that were not met.
    pub unmet: Vec<String>,
    /// Ids of intended differences that name this scenario, and that it does not show.
    pub missing: Vec<String>,
    /// What was wrong the first time, and was not when the scenario was run once more.
    pub unsteady: Vec<String>,
    /// Why it could not be run.
    pub error: Option<String>,
    /// Whether times and order were not compared, because the machine was too busy at every attempt.
    pub times_left_out: bool,
    /// Why it was left out: what a side lacks for it.
    pub skipped: Option<String>,
}

impl ScenarioReport {
    /// Cells that differ without a reason.
    pub fn unexplained(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.verdict == Verdict::Unexplained)
    }

    /// Whether this intended difference is seen.
    fn shows(&self, difference: &str) -> bool {
        self.cells
            .iter()
            .any(|cell| matches!(&cell.verdict, Verdict::Intended { id, .. } if id == difference))
    }

    /// Whether all is as it should be.
    pub fn passed(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is wrong, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let errors = self.error.iter().map(|error| format!("could not be run: {error}"));
        let unmet = self.unmet.iter().map(|unmet| format!("expected otherwise: {unmet}"));
        let missing = self.missing.iter().map(|id| format!("intended difference {id:?} is not seen here"));
        let differ = |cell: &Cell| format!("{}: old {:?}, new {:?}", cell.what, cell.old, cell.new);
        errors.chain(unmet).chain(missing).chain(self.unexplained().map(differ)).collect()
    }

    /// This one, or what came of running the scenario again where it failed: a busy machine may upset
    /// the order of things once, and what it upset is kept in the report.
    fn or_again(self, again: impl FnOnce() -> Self) -> Self {
        if self.passed() {
            return self;
        }
        let mut second = again();
        let still = second.problems();
        second.unsteady = self.problems().into_iter().filter(|problem| !still.contains(problem)).collect();
        second
    }
}

/// What came of all.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The old side.
    pub old: String,
    /// The new side.
    pub new: String,
    /// Scenario by scenario.
    pub scenarios: Vec<ScenarioReport>,
    /// Ids of intended differences that no scenario shows any more.
    pub stale: Vec<String>,
}

impl Report {
    /// 0 all as intended, 1 differences, 2 something could not be run.
    pub fn exit_status(&self) -> u8 {
        if self.scenarios.iter().any(|scenario| scenario.error.is_some()) {
            return 2;
        }
        u8::from(!self.stale.is_empty() || !self.scenarios.iter().all(ScenarioReport::passed))
    }
}

/// The two sides and how they may differ.
pub struct Suite<'a> {
    /// The old side.
    pub old: &'a Subject,
    /// The new side.
    pub new: &'a Subject,
    /// Intended differences.
    pub differences: &'a [Difference],
    /// Whether an intended difference that is not seen is a failure: only when all scenarios are run.
    pub complete: bool,
    /// Scenarios run at a time.
    pub at_once: usize,
}

impl Suite<'_> {
    /// Runs the scenarios.
    pub fn run(&self, scenarios: &[Scenario]) -> Report {
        let next = AtomicUsize::new(0);
        let reports = Mutex::new(Vec::new());
        let alone = RwLock::new(());
        thread::scope(|scope| {
            for _ in 0..self.at_once.min(scenarios.len()) {
                scope.spawn(|| {
                    while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = self.run_one(scenario, &alone);
                        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                    }
                });
            }
        });
        let mut scenarios = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        scenarios.sort_by(|a: &ScenarioReport, b| a.name.cmp(&b.name));
        let partial = |scenario: &ScenarioReport| scenario.skipped.is_some() || scenario.times_left_out;
        let complete = self.complete && !scenarios.iter().any(partial);
        let stale = if complete { self.stale(&scenarios) } else { Vec::new() };
        Report { old: self.old.name(), new: self.new.name(), scenarios, stale }
    }

    /// Runs it, and once more where it fails.
    fn run_one(&self, scenario: &Scenario, alone: &RwLock<()>) -> ScenarioReport {
        let lacking =
            [self.old, self.new].into_iter().find_map(|side| scenario.needs.lacking(&side.speaks()));
        if lacking.is_some() {
            let (name, about) = (scenario.name.clone(), scenario.about.clone());
            return ScenarioReport { name, about, skipped: lacking, ..ScenarioReport::default() };
        }
        let first = {
            let _beside_others = alone.read().unwrap_or_else(PoisonError::into_inner);
            self.run_once(scenario)
        };
        first.or_again(|| {
            let _alone = alone.write().unwrap_or_else(PoisonError::into_inner);
            self.run_once(scenario)
        })
    }

    /// A side's run of a scenario; runs it again as long as the machine was too busy for it to mean anything.
    fn observe(&self, side: &Subject, scenario: &Scenario) -> Result<Observation, String> {
        let mut seen = side.run(scenario)?;
        for _ in 0..PATIENCE {
            if seen.late < LATE {
                break;
            }
            seen = side.run(scenario)?;
        }
        Ok(seen)
    }

    fn run_once(&self, scenario: &Scenario) -> ScenarioReport {
        let seen =
            self.observe(self.old, scenario).and_then(|old| Ok((old, self.observe(self.new, scenario)?)));
        let times_left_out = seen.as_ref().is_ok_and(|(old, new)| old.late.max(new.late) >= LATE);
        let (mut cells, error) = match seen {
            Ok((old, new)) => (compare(&scenario.name, &old, &new, self.differences), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        cells.retain(|cell| cell.what != CellName::Order || !scenario.has_burst());
        cells.retain(|cell| !times_left_out || !cell.what.is_about_time());
        let (name, about) = (scenario.name.clone(), scenario.about.clone());
        let mut report =
            ScenarioReport { name, about, cells, error, times_left_out, ..ScenarioReport::default() };
        if report.error.is_none() {
            report.unmet = unmet(&scenario.expect, &report.cells);
            report.missing = if times_left_out { Vec::new() } else { self.missing(&report) };
        }
        report
    }

    fn missing(&self, report: &ScenarioReport) -> Vec<String> {
        let named = self.differences.iter().filter(|difference| difference.names(&report.name));
        named.map(|difference| difference.id.clone()).filter(|id| !report.shows(id)).collect()
    }

    /// Differences that some scenario had to show and none did; those that name one are missed there.
    fn stale(&self, scenarios: &[ScenarioReport]) -> Vec<String> {
        let told = |difference: &Difference| {
            scenarios
                .iter()
                .any(|scenario| difference.names(&scenario.name) || scenario.shows(&difference.id))
        };
        let stale = self.differences.iter().filter(|difference| difference.always && !told(difference));
        stale.map(|difference| difference.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(new: &str, verdict: Verdict, error: Option<&str>) -> ScenarioReport {
        let (what, old) = (CellName::Answer("a".to_owned()), "status 0".to_owned());
        ScenarioReport {
            name: "load".to_owned(),
            about: "a load".to_owned(),
            cells: vec![Cell { what, old, new: new.to_owned(), verdict }],
            error: error.map(str::to_owned),
            ..ScenarioReport::default()
        }
    }

    fn good() -> ScenarioReport {
        report("status 0", Verdict::Same, None)
    }

    #[test]
    fn what_fails_only_once_passes_and_is_kept() {
        let wrong = || report("none", Verdict::Unexplained, None);
        let once = wrong().or_again(good);
        assert!(once.passed());
        assert_eq!(once.unsteady, ["answer a: old \"status 0\", new \"none\""]);
        let not_run = report("", Verdict::Same, Some("no queue")).or_again(good);
        assert_eq!(not_run.unsteady, ["could not be run: no queue"]);
        let twice = wrong().or_again(wrong);
        assert!(!twice.passed() && twice.unsteady.is_empty());
    }

    #[test]
    fn what_passes_is_not_run_again() {
        assert!(good().or_again(|| unreachable!()).unsteady.is_empty());
    }
}
