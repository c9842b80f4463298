//! Many roots at once: plans in parallel, a progress bar, a summary table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::account::Kind;
use crate::apply::tree::{open, write_tree, write_whole};
use crate::error::Result;
use crate::module_index::Kernel;
use crate::plan::{Plan, Request, kernel};
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
    /// How many open questions of each kind there are.
    reasons: BTreeMap<Kind, usize>,
    document: serde_json::Value,
}

/// Plans for all roots. With `output`, each plan's files go to a folder of their own below it, beside a
/// `plan.json`. Returns the text to print and whether all could be planned.
pub fn plan(request: &Request, roots: &[PathBuf], as_json: bool, output: Option<&Path>) -> (String, bool) {
    let bar = ProgressBar::new(roots.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} roots").expect("a constant that is right"),
    );
    // one index for all roots, where one was named
    let shared = request.kernel_root.as_ref().and_then(|_| kernel(request).ok().flatten()).map(Arc::new);
    let mut outcomes: Vec<Outcome> = roots
        .par_iter()
        .progress_with(bar)
        .enumerate()
        .map(|(index, root)| one(request, root, index, shared.as_ref(), output))
        .collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.open()));
    let text = if as_json { document(&outcomes) } else { table(&outcomes) };
    (text, outcomes.iter().all(|outcome| outcome.result.is_ok()))
}

impl Outcome {
    /// How many questions are open; one more than any where the root could not be read.
    fn open(&self) -> usize {
        self.result.as_ref().map_or(usize::MAX, |planned| planned.reasons.values().sum())
    }
}

fn one(
    request: &Request,
    root: &Path,
    index: usize,
    kernel: Option<&Arc<Kernel>>,
    output: Option<&Path>,
) -> Outcome {
    let work = || {
        let request = Request { root: root.to_owned(), ..request.clone() };
        let plan = match kernel {
            Some(kernel) => Plan::make_for(&request, Some(kernel.clone()))?,
            None => Plan::make(&request)?,
        };
        let document = json::document(&plan);
        if let Some(output) = output {
            let folder = output.join(format!("{index:03}-{}", name(root, index)));
            write_tree(&plan.files, &folder)?;
            write_whole(&open(&folder)?, "/plan.json", document.to_string().as_bytes())?;
        }
        let questions = plan.account.questions().into_iter();
        let reasons = questions.map(|(kind, lines)| (kind, lines.len())).collect();
        Ok(Planned { summary: Summary::of(&plan), files: plan.files.len(), reasons, document })
    };
    Outcome { root: root.to_owned(), result: work() }
}

fn name(root: &Path, index: usize) -> String {
    root.file_name().map_or_else(|| format!("root-{index}"), |name| name.to_string_lossy().into_owned())
}

/// The roots with the most open questions first, and the reasons that roots share.
fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(100)
        .set_header(["root", "rewritten", "dropped", "need attention", "files", "reasons"]);
    for outcome in outcomes {
        let root = outcome.root.display().to_string();
        match &outcome.result {
            Ok(Planned { summary, files, reasons, .. }) => {
                let counts = [summary.rewritten, summary.dropped, summary.needs_attention, *files];
                let reasons: Vec<String> =
                    reasons.iter().map(|(kind, count)| format!("{}: {count}", kind.word())).collect();
                let cells = counts.iter().map(ToString::to_string).chain([reasons.join(", ")]);
                table.add_row(std::iter::once(root).chain(cells));
            }
            Err(why) => {
                table.add_row([root, why.to_string()]);
            }
        }
    }
    let mut text = format!("{table}\n");
    for (kind, (roots, lines)) in shared_reasons(outcomes) {
        let (heading, advice) = (kind.heading(), kind.advice());
        text.push_str(&format!("\n{heading}: {lines} line(s) in {roots} root(s)\n  -> {advice}\n"));
    }
    text
}

/// In how many roots, and for how many lines, each kind of question is open.
fn shared_reasons(outcomes: &[Outcome]) -> BTreeMap<Kind, (usize, usize)> {
    let mut shared: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for (kind, lines) in
        outcomes.iter().flat_map(|outcome| &outcome.result).flat_map(|planned| &planned.reasons)
    {
        let (roots, all) = shared.entry(*kind).or_default();
        (*roots, *all) = (*roots + 1, *all + lines);
    }
    shared
}

fn document(outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| {
        let root = outcome.root.display().to_string();
        match &outcome.result {
            Ok(planned) => {
                let reasons: BTreeMap<&str, usize> =
                    planned.reasons.iter().map(|(kind, count)| (kind.word(), *count)).collect();
                serde_json::json!({ "root": root, "reasons": reasons, "plan": planned.document })
            }
            Err(why) => serde_json::json!({ "root": root, "error": why.to_string() }),
        }
    };
    let all: Vec<serde_json::Value> = outcomes.iter().map(one).collect();
    serde_json::to_string_pretty(&all).expect("strings are JSON") + "\n"
}
