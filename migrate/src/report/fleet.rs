//! Many roots at once: plans in parallel, a progress bar, a summary table.

use std::path::{Path, PathBuf};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::apply::tree::{open, write_tree, write_whole};
use crate::error::Result;
use crate::plan::{Plan, Request};
use crate::report::json::{self, Summary};

/// The outcome for one root.
struct Outcome {
    root: PathBuf,
    result: Result<Planned>,
}

/// What is kept of a plan.
struct Planned {
    summary: Summary,
    files: usize,
    document: serde_json::Value,
}

/// Plans for all roots. With `output`, each plan's files go to a folder of their own below it, beside a
/// `plan.json`. Returns the text to print and whether all could be planned.
pub fn plan(request: &Request, roots: &[PathBuf], as_json: bool, output: Option<&Path>) -> (String, bool) {
    let bar = ProgressBar::new(roots.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} roots").expect("a constant that is right"),
    );
    let outcomes: Vec<Outcome> = roots
        .par_iter()
        .progress_with(bar)
        .enumerate()
        .map(|(index, root)| one(request, root, index, output))
        .collect();
    let text = if as_json { document(&outcomes) } else { table(&outcomes) };
    (text, outcomes.iter().all(|outcome| outcome.result.is_ok()))
}

fn one(request: &Request, root: &Path, index: usize, output: Option<&Path>) -> Outcome {
    let work = || {
        let plan = Plan::make(&Request { root: root.to_owned(), ..request.clone() })?;
        let document = json::document(&plan);
        if let Some(output) = output {
            let folder = output.join(format!("{index:03}-{}", name(root, index)));
            write_tree(&plan.files, &folder)?;
            write_whole(&open(&folder)?, "/plan.json", document.to_string().as_bytes())?;
        }
        Ok(Planned { summary: Summary::of(&plan), files: plan.files.len(), document })
    };
    Outcome { root: root.to_owned(), result: work() }
}

fn name(root: &Path, index: usize) -> String {
    root.file_name().map_or_else(|| format!("root-{index}"), |name| name.to_string_lossy().into_owned())
}

fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "root",
        "rewritten",
        "dropped",
        "need attention",
        "files",
    ]);
    for outcome in outcomes {
        let root = outcome.root.display().to_string();
        match &outcome.result {
            Ok(Planned { summary, files, .. }) => {
                let counts = [summary.rewritten, summary.dropped, summary.needs_attention, *files];
                table.add_row(std::iter::once(root).chain(counts.iter().map(ToString::to_string)));
            }
            Err(why) => {
                table.add_row([root, why.to_string()]);
            }
        }
    }
    format!("{table}\n")
}

fn document(outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| {
        let root = outcome.root.display().to_string();
        match &outcome.result {
            Ok(planned) => serde_json::json!({ "root": root, "plan": planned.document }),
            Err(why) => serde_json::json!({ "root": root, "error": why.to_string() }),
        }
    };
    let all: Vec<serde_json::Value> = outcomes.iter().map(one).collect();
    serde_json::to_string_pretty(&all).expect("strings are JSON") + "\n"
}
