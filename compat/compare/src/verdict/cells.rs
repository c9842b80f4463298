//! Two observations side by side: cells that agree, differ as intended, or just differ.
#![forbid(unsafe_code)]

use crate::cell_name::{About, CellName, Helper};
use crate::observe::{Asked, Observation, Outcome, Run, shown, when};
use crate::scenario::{Expectation, Side};
use crate::verdict::differences::Difference;
use regex_lite::Regex;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a side shows in a cell that it does not have.
pub const NOTHING: &str = "-";

/// The variable that says which process a request came from.
const TRIGGER: &str = "KERNELD_TRIGGER";

/// Texts longer than this are abbreviated where they only name something.
const LONG: usize = 64;

/// Helpers shorter than this say nothing about overlap (milliseconds).
const LASTING: u64 = 500;

/// One thing that was seen, on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What it is.
    pub what: CellName,
    /// On the old side.
    pub old: String,
    /// On the new side.
    pub new: String,
    /// Whether they agree.
    pub verdict: Verdict,
}

/// How the sides of a cell relate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Equal.
    Same,
    /// Different, as `differences.toml` says.
    Intended {
        /// The entry's id.
        id: String,
        /// Its reason.
        why: String,
    },
    /// Different.
    Unexplained,
}

/// Puts two observations of a scenario side by side.
pub fn compare(
    scenario: &str,
    old: &Observation,
    new: &Observation,
    differences: &[Difference],
) -> Vec<Cell> {
    let (mut old, mut new) = (cells(old), cells(new));
    pair_helpers(&mut old, &mut new);
    let mut all: Vec<Cell> = Vec::new();
    for (what, seen) in &old {
        let other = new.iter().find(|(name, _)| name == what).map_or(NOTHING, |(_, seen)| seen);
        all.push(judge(scenario, what, seen, other, differences));
    }
    for (what, seen) in new.iter().filter(|(what, _)| !old.iter().any(|(name, _)| name == what)) {
        all.push(judge(scenario, what, NOTHING, seen, differences));
    }
    all
}

fn judge(scenario: &str, what: &CellName, old: &str, new: &str, differences: &[Difference]) -> Cell {
    let verdict = if old == new {
        Verdict::Same
    } else {
        let reason = differences.iter().find(|difference| difference.explains(scenario, what, old, new));
        reason.map_or(Verdict::Unexplained, |reason| Verdict::Intended {
            id: reason.id.clone(),
            why: reason.why.clone(),
        })
    };
    Cell { what: what.clone(), old: old.to_owned(), new: new.to_owned(), verdict }
}

/// Expectations that were not met, a sentence each.
pub fn unmet(expectations: &[Expectation], cells: &[Cell]) -> Vec<String> {
    let mut unmet = Vec::new();
    for expectation in expectations {
        let cell = cells.iter().find(|cell| cell.what == expectation.what);
        let sides = [(Side::Old, cell.map(|cell| &cell.old)), (Side::New, cell.map(|cell| &cell.new))];
        for (side, seen) in sides {
            let seen = seen.map_or(NOTHING, String::as_str);
            if expectation.side.is_none_or(|only| only == side) && !expectation.is.matches(seen) {
                unmet.push(format!(
                    "{side:?}: {} is {seen:?}, not {:?}",
                    expectation.what,
                    expectation.is.as_str()
                ));
            }
        }
    }
    unmet
}

type Seen = Vec<(CellName, String)>;

fn cells(observation: &Observation) -> Seen {
    let mut cells = Seen::new();
    observation.asked.iter().for_each(|asked| answer_cells(asked, &mut cells));
    let helpers = helpers(&observation.runs);
    for (run, helper) in observation.runs.iter().zip(&helpers) {
        let about = |about| CellName::Helper(helper.clone(), about);
        cells.push((about(About::Argv), run.command_line()));
        cells.push((about(About::Env), environment(run)));
        cells.push((about(About::Trigger), trigger(run)));
        cells.push((about(About::Time), when(run.start)));
    }
    let order: Vec<String> = helpers.iter().map(Helper::to_string).collect();
    cells.push((CellName::Order, order.join(", ")));
    cells.push((CellName::Overlap, at_once(&observation.runs).to_string()));
    let left = observation.left.iter();
    cells.extend(left.map(|(what, count)| (CellName::Left(what.clone()), count.to_string())));
    cells.push((CellName::Daemon, if observation.ended { "ended" } else { "runs" }.to_owned()));
    cells
}

/// What the helpers are called.
fn helpers(runs: &[Run]) -> Vec<Helper> {
    let mut counts: BTreeMap<Helper, usize> = BTreeMap::new();
    let mut number = |run| {
        let first = helper(run);
        let count = *counts.entry(first.clone()).and_modify(|count| *count += 1).or_insert(1);
        Helper { count, ..first }
    };
    runs.iter().map(&mut number).collect()
}

/// A helper that one side did not run is one cell, not four.
fn pair_helpers(old: &mut Seen, new: &mut Seen) {
    fold_unpaired(old, new);
    fold_unpaired(new, old);
    // Order says something only of the same helpers.
    let helpers = |seen: &Seen| seen.iter().filter(|(what, _)| helper_of(what).is_some()).count();
    let folded = |seen: &Seen| seen.iter().any(|(what, _)| matches!(what, CellName::OnlyHere(_)));
    if helpers(old) < 2 || folded(old) || folded(new) {
        old.retain(|(what, _)| *what != CellName::Order);
        new.retain(|(what, _)| *what != CellName::Order);
    }
}

/// The helper whose command line a cell shows: each has one.
const fn helper_of(what: &CellName) -> Option<&Helper> {
    match what {
        CellName::Helper(helper, About::Argv) => Some(helper),
        _ => None,
    }
}

fn fold_unpaired(side: &mut Seen, other: &Seen) {
    let lacks = |what: &CellName| !other.iter().any(|(name, _)| name == what);
    let unpaired =
        side.iter().filter(|(what, _)| lacks(what)).filter_map(|(what, _)| helper_of(what).cloned());
    for helper in unpaired.collect::<Vec<_>>() {
        let is = |what: &CellName, about| *what == CellName::Helper(helper.clone(), about);
        let time = side.iter().find(|(what, _)| is(what, About::Time)).map(|(_, time)| time.clone());
        side.retain(|(what, _)| {
            ![About::Env, About::Trigger, About::Time].iter().any(|about| is(what, *about))
        });
        let cell = side.iter_mut().find(|(what, _)| is(what, About::Argv));
        if let (Some((what, seen)), Some(time)) = (cell, time) {
            *what = CellName::OnlyHere(helper.clone());
            *seen = format!("{seen}, {time}");
        }
    }
}

/// What a helper is about, as if it were the first of its kind.
fn helper(run: &Run) -> Helper {
    let action = match run.program.as_str() {
        "modprobe" if run.args.iter().any(|arg| arg == "-r") => "unload",
        "modprobe" => "load",
        other => other,
    };
    let text = abbreviated(run.args.last().map_or("", String::as_str));
    Helper { action: action.to_owned(), text, count: 1 }
}

fn abbreviated(text: &str) -> String {
    let shown = shown(text.as_bytes());
    match shown.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}… of {} bytes", &shown[..end], text.len()),
        None => shown,
    }
}

/// Without [`TRIGGER`], and without what cannot be a variable: an old kerneld may have left garbage there.
fn environment(run: &Run) -> String {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let named = run.env.iter().filter(|(name, _)| is_name(name) && *name != TRIGGER);
    named.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// The pid of the request that a helper was told.
fn trigger(run: &Run) -> String {
    let pid = run.env.get(TRIGGER).and_then(|pid| pid.parse::<i16>().ok());
    pid.map_or("none".to_owned(), |pid| format!("pid {pid}"))
}

/// How many lasting helpers ran at the same time, at most.
fn at_once(runs: &[Run]) -> usize {
    let lasting: Vec<(u64, u64)> = runs
        .iter()
        .filter_map(|run| Some((run.start, run.end?)))
        .filter(|(start, end)| end - start >= LASTING)
        .collect();
    let during = |time: u64| lasting.iter().filter(|(start, end)| (*start..*end).contains(&time)).count();
    lasting.iter().map(|(start, _)| during(*start)).max().unwrap_or(0)
}

fn answer_cells(asked: &Asked, cells: &mut Seen) {
    let name = || asked.client.clone();
    let answer = match &asked.outcome {
        Outcome::Killed => return,
        Outcome::Never => "none".to_owned(),
        Outcome::NotSent => "request not sent".to_owned(),
        Outcome::Answer { status: None, text, .. } => format!("in another layout: {}", shown(text)),
        Outcome::Answer { status: Some(status), .. } => format!("status {status}"),
    };
    cells.push((CellName::Answer(name()), answer));
    if let Outcome::Answer { status: Some(_), text, after } = &asked.outcome {
        cells.push((CellName::AnswerTime(name()), when(*after)));
        let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
        cells.extend(
            lines.map(|(at, line)| (CellName::AnswerLine(name(), at + 1), without_pids(&shown(line)))),
        );
    }
}

/// Pids differ from run to run; whether there is one does not.
fn without_pids(line: &str) -> String {
    let replaced = |pattern: &str, by: &str, line: &str| match Regex::new(pattern) {
        Ok(regex) => regex.replace_all(line, by).into_owned(),
        Err(error) => unreachable!("{error}"),
    };
    replaced("^pid [1-9][0-9]*,", "pid J,", &replaced(", pid=[0-9]+,", ", pid=P,", line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn run(args: &[&str], start: u64, end: u64) -> Run {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Run { program: "modprobe".to_owned(), args, env: BTreeMap::new(), start, end: Some(end) }
    }

    fn verdicts(cells: &[Cell]) -> Vec<(String, bool)> {
        let differing = cells.iter().filter(|cell| cell.verdict != Verdict::Same);
        differing.map(|cell| (cell.what.to_string(), cell.verdict == Verdict::Unexplained)).collect()
    }

    #[test]
    fn helpers_are_paired_by_what_they_are_about() {
        let old = Observation {
            runs: vec![run(&["-k", "a"], 0, 5), run(&["-r", "a"], 9, 9)],
            ..Default::default()
        };
        let new = Observation { runs: vec![run(&["-q", "a"], 0, 5)], ..Default::default() };
        let cells = compare("s", &old, &new, &[]);
        assert_eq!(
            verdicts(&cells),
            [("load 'a' argv".to_owned(), true), ("ran only here: unload 'a'".to_owned(), true)]
        );
        let text = "[[difference]]\nid = \"x\"\nscenario = \"s\"\nwhat = \"* argv\"\nold = \"modprobe -k {n}\"\n\
                    new = \"modprobe -q {n}\"\nwhy = \"w\"\ndocs = \"d\"\n";
        let differences = crate::verdict::differences::parse(text, Path::new("d")).unwrap();
        let cells = compare("s", &old, &new, &differences);
        assert_eq!(
            verdicts(&cells),
            [("load 'a' argv".to_owned(), false), ("ran only here: unload 'a'".to_owned(), true)]
        );
    }

    #[test]
    fn order_and_overlap_are_seen() {
        let one =
            Observation { runs: vec![run(&["a"], 0, 900), run(&["b"], 100, 1100)], ..Default::default() };
        let two =
            Observation { runs: vec![run(&["b"], 0, 600), run(&["a"], 700, 1400)], ..Default::default() };
        let cells = compare("s", &one, &two, &[]);
        assert_eq!(
            verdicts(&cells),
            [("order of helpers".to_owned(), true), ("lasting helpers at once".to_owned(), true)]
        );
    }

    #[test]
    fn pids_do_not_differ_but_having_none_does() {
        assert_eq!(without_pids("Version 1, pid=7, delay=2"), "Version 1, pid=P, delay=2");
        assert_eq!(without_pids("pid 12, type x"), "pid J, type x");
        assert_eq!(without_pids("pid 0, type x"), "pid 0, type x");
    }
}
