//! Two observations side by side: cells that agree, differ as intended, or just differ.
#![forbid(unsafe_code)]

use crate::observe::{Asked, Observation, Outcome, Run, shown, when};
use crate::scenario::{Expectation, Side};
use crate::verdict::differences::Difference;
use regex_lite::Regex;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a side shows in a cell that it does not have.
pub const NOTHING: &str = "-";

/// The cell that says in which order helpers were started.
pub const ORDER: &str = "order of helpers";

/// The cell that says how many helpers ran at the same time.
const OVERLAP: &str = "lasting helpers at once";

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
    pub what: String,
    /// On the old side.
    pub old: String,
    /// On the new side.
    pub new: String,
    /// Whether they agree.
    pub verdict: Verdict,
}

impl Cell {
    /// Whether it says when something was, or in which order, or what overlapped.
    pub(crate) fn is_about_time(&self) -> bool {
        self.what.ends_with(" time") || self.what == ORDER || self.what == OVERLAP
    }
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

fn judge(scenario: &str, what: &str, old: &str, new: &str, differences: &[Difference]) -> Cell {
    let verdict = if old == new {
        Verdict::Same
    } else {
        let reason = differences.iter().find(|difference| difference.explains(scenario, what, old, new));
        reason.map_or(Verdict::Unexplained, |reason| Verdict::Intended {
            id: reason.id.clone(),
            why: reason.why.clone(),
        })
    };
    Cell { what: what.to_owned(), old: old.to_owned(), new: new.to_owned(), verdict }
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

type Seen = Vec<(String, String)>;

fn cells(observation: &Observation) -> Seen {
    let mut cells = Seen::new();
    observation.asked.iter().for_each(|asked| answer_cells(asked, &mut cells));
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for run in &observation.runs {
        let label = label(run);
        let count = labels.entry(label.clone()).and_modify(|count| *count += 1).or_insert(1);
        let label = if *count > 1 { format!("{label} #{count}") } else { label };
        cells.push((format!("{label} argv"), run.command_line()));
        cells.push((format!("{label} env"), environment(run)));
        cells.push((format!("{label} trigger"), trigger(run)));
        cells.push((format!("{label} time"), when(run.start)));
        order.push(label);
    }
    cells.push((ORDER.to_owned(), order.join(", ")));
    cells.push((OVERLAP.to_owned(), at_once(&observation.runs).to_string()));
    let left = observation.left.iter();
    cells.extend(left.map(|(what, count)| (format!("left on the queue: {what}"), count.to_string())));
    cells.push(("daemon".to_owned(), if observation.ended { "ended" } else { "runs" }.to_owned()));
    cells
}

/// A helper that one side did not run is one cell, not three.
fn pair_helpers(old: &mut Seen, new: &mut Seen) {
    fold_unpaired(old, new);
    fold_unpaired(new, old);
    // Order says something only of the same helpers.
    let helpers = |seen: &Seen| seen.iter().filter(|(what, _)| what.ends_with(" argv")).count();
    let folded = |seen: &Seen| seen.iter().any(|(what, _)| what.starts_with("ran only here: "));
    if helpers(old) < 2 || folded(old) || folded(new) {
        old.retain(|(what, _)| what != ORDER);
        new.retain(|(what, _)| what != ORDER);
    }
}

fn fold_unpaired(side: &mut Seen, other: &Seen) {
    let lacks = |what: &str| !other.iter().any(|(name, _)| name == what);
    let unpaired: Vec<String> = side
        .iter()
        .filter_map(|(what, _)| what.strip_suffix(" argv").filter(|_| lacks(what)).map(str::to_owned))
        .collect();
    for label in unpaired {
        let time =
            side.iter().find(|(what, _)| *what == format!("{label} time")).map(|(_, time)| time.clone());
        let about = ["env", "trigger", "time"].map(|what| format!("{label} {what}"));
        side.retain(|(what, _)| !about.contains(what));
        let cell = side.iter_mut().find(|(what, _)| *what == format!("{label} argv"));
        if let (Some((what, seen)), Some(time)) = (cell, time) {
            *what = format!("ran only here: {label}");
            *seen = format!("{seen}, {time}");
        }
    }
}

/// What a helper is about, the same for both daemons.
fn label(run: &Run) -> String {
    let text = abbreviated(run.args.last().map_or("", String::as_str));
    match run.program.as_str() {
        "modprobe" if run.args.iter().any(|arg| arg == "-r") => format!("unload '{text}'"),
        "modprobe" => format!("load '{text}'"),
        other => format!("{other} '{text}'"),
    }
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
    let name = &asked.client;
    let mut add = |what: &str, seen: String| cells.push((format!("answer {name}{what}"), seen));
    match &asked.outcome {
        Outcome::Killed => {}
        Outcome::Never => add("", "none".to_owned()),
        Outcome::NotSent => add("", "request not sent".to_owned()),
        Outcome::Answer { status: None, text, .. } => {
            add("", format!("in another layout: {}", shown(text)));
        }
        Outcome::Answer { status: Some(status), text, after } => {
            add("", format!("status {status}"));
            add(" time", when(*after));
            for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
                add(&format!(" line {}", at + 1), without_pids(&shown(line)));
            }
        }
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

    fn verdicts(cells: &[Cell]) -> Vec<(&str, bool)> {
        let differing = cells.iter().filter(|cell| cell.verdict != Verdict::Same);
        differing.map(|cell| (cell.what.as_str(), cell.verdict == Verdict::Unexplained)).collect()
    }

    #[test]
    fn helpers_are_paired_by_what_they_are_about() {
        let old = Observation {
            runs: vec![run(&["-k", "a"], 0, 5), run(&["-r", "a"], 9, 9)],
            ..Default::default()
        };
        let new = Observation { runs: vec![run(&["-q", "a"], 0, 5)], ..Default::default() };
        let cells = compare("s", &old, &new, &[]);
        assert_eq!(verdicts(&cells), [("load 'a' argv", true), ("ran only here: unload 'a'", true)]);
        let text = "[[difference]]\nid = \"x\"\nscenario = \"s\"\nwhat = \"* argv\"\nold = \"modprobe -k {n}\"\n\
                    new = \"modprobe -q {n}\"\nwhy = \"w\"\ndocs = \"d\"\n";
        let differences = crate::verdict::differences::parse(text, Path::new("d")).unwrap();
        let cells = compare("s", &old, &new, &differences);
        assert_eq!(verdicts(&cells), [("load 'a' argv", false), ("ran only here: unload 'a'", true)]);
    }

    #[test]
    fn order_and_overlap_are_seen() {
        let one =
            Observation { runs: vec![run(&["a"], 0, 900), run(&["b"], 100, 1100)], ..Default::default() };
        let two =
            Observation { runs: vec![run(&["b"], 0, 600), run(&["a"], 700, 1400)], ..Default::default() };
        let cells = compare("s", &one, &two, &[]);
        assert_eq!(verdicts(&cells), [("order of helpers", true), ("lasting helpers at once", true)]);
    }

    #[test]
    fn pids_do_not_differ_but_having_none_does() {
        assert_eq!(without_pids("Version 1, pid=7, delay=2"), "Version 1, pid=P, delay=2");
        assert_eq!(without_pids("pid 12, type x"), "pid J, type x");
        assert_eq!(without_pids("pid 0, type x"), "pid 0, type x");
    }
}
