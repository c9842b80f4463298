//! Many roots at once: plans in parallel, a progress bar, a summary table.

use std::path::{Path, PathBuf};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::apply::write_tree;
use crate::plan::{Plan, Request};
use crate::report::json::{self, Summary};

/// The outcome for one root.
struct Outcome {
    root: PathBuf,
    result: Result<(Summary, usize, String), String>,
}

/// Plans for all roots. With `output`, each plan's files go to a folder of their own below it, beside a
/// `plan.json`. Returns the text to print and whether all could be
/// planned.
pub fn plan(
    request: &Request,
    roots: &[PathBuf],
    as_json: bool,
    output: Option<&Path>,
) -> Result<(String, bool), String> {
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
    Ok((text, outcomes.iter().all(|outcome| outcome.result.is_ok())))
}

fn one(request: &Request, root: &Path, index: usize, output: Option<&Path>) -> Outcome {
    let work = || {
        let plan = Plan::make(&Request { root: root.to_owned(), ..request.clone() })?;
        let document = json::document(&plan);
        if let Some(output) = output {
            let name = root
                .file_name()
                .map_or_else(|| format!("root-{index}"), |name| name.to_string_lossy().into_owned());
            let folder = output.join(format!("{index:03}-{name}"));
            write_tree(&plan, &folder)?;
            std::fs::write(folder.join("plan.json"), &document)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok((Summary::of(&plan), plan.files.len(), document))
    };
    Outcome { root: root.to_owned(), result: work() }
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
            Ok((summary, files, _)) => {
                let counts = [summary.rewritten, summary.dropped, summary.needs_attention, *files];
                table.add_row(std::iter::once(root).chain(counts.iter().map(ToString::to_string)));
            }
            Err(why) => {
                table.add_row([root, why.clone()]);
            }
        }
    }
    format!("{table}\n")
}

fn document(outcomes: &[Outcome]) -> String {
    let all: Vec<serde_json::Value> = outcomes
        .iter()
        .map(|outcome| {
            let root = outcome.root.display().to_string();
            match &outcome.result {
                Ok((_, _, text)) => {
                    let plan: serde_json::Value = serde_json::from_str(text).expect("it was written as JSON");
                    serde_json::json!({ "root": root, "plan": plan })
                }
                Err(why) => serde_json::json!({ "root": root, "error": why }),
            }
        })
        .collect();
    serde_json::to_string_pretty(&all).expect("strings are JSON") + "\n"
}
