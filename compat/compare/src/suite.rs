//! Runs scenarios on both subjects, several at a time, and gathers the report.
#![forbid(unsafe_code)]

use crate::compare::{Cell, ORDER, Verdict, compare, unmet};
use crate::differences::Difference;
use crate::scenario::Scenario;
use crate::subject::Subject;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What came of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Everything seen, side by side.
    pub cells: Vec<Cell>,
    /// Expectations that were not met.
    pub unmet: Vec<String>,
    /// What differed the first time, and did not when the scenario was run once more.
    pub unsteady: Vec<String>,
    /// Why it could not be run.
    pub error: Option<String>,
}

impl ScenarioReport {
    /// Cells that differ without a reason.
    pub fn unexplained(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.verdict == Verdict::Unexplained)
    }

    /// Whether all is as it should be.
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.unmet.is_empty() && self.unexplained().next().is_none()
    }

    fn failures(&self) -> BTreeSet<String> {
        let cells = self.unexplained().map(|cell| cell.what.clone());
        cells.chain(self.unmet.iter().cloned()).collect()
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
        thread::scope(|scope| {
            for _ in 0..self.at_once.min(scenarios.len()) {
                scope.spawn(|| {
                    while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = self.run_steadily(scenario);
                        reports.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(report);
                    }
                });
            }
        });
        let mut scenarios = reports.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        scenarios.sort_by(|a: &ScenarioReport, b| a.name.cmp(&b.name));
        let stale = if self.complete { self.stale(&scenarios) } else { Vec::new() };
        Report { old: self.old.name(), new: self.new.name(), scenarios, stale }
    }

    /// A failure has to show itself twice: a busy machine may upset the order of things once.
    fn run_steadily(&self, scenario: &Scenario) -> ScenarioReport {
        let first = self.run_once(scenario);
        if first.passed() {
            return first;
        }
        let mut second = self.run_once(scenario);
        second.unsteady = first.failures().difference(&second.failures()).cloned().collect();
        second
    }

    fn run_once(&self, scenario: &Scenario) -> ScenarioReport {
        let seen = self.old.run(scenario).and_then(|old| Ok((old, self.new.run(scenario)?)));
        let (mut cells, error) = match seen {
            Ok((old, new)) => (compare(&scenario.name, &old, &new, self.differences), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        cells.retain(|cell| cell.what != ORDER || !scenario.has_burst());
        let unmet = if error.is_none() { unmet(&scenario.expect, &cells) } else { Vec::new() };
        let (name, about) = (scenario.name.clone(), scenario.about.clone());
        ScenarioReport { name, about, cells, unmet, unsteady: Vec::new(), error }
    }

    fn stale(&self, scenarios: &[ScenarioReport]) -> Vec<String> {
        let seen: BTreeSet<&str> = scenarios
            .iter()
            .flat_map(|scenario| &scenario.cells)
            .filter_map(|cell| match &cell.verdict {
                Verdict::Intended { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let ids = self.differences.iter().map(|difference| difference.id.clone());
        ids.filter(|id| !seen.contains(id.as_str())).collect()
    }
}
