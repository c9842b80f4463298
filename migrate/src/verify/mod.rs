//! `verify`: the new files held against the old meaning, with the real modprobe as the judge.
//!
//! What is expected comes from the old configuration's meaning; what is, from `modprobe -R` and `-D` on the new
//! files and from the kernel's own index. `-n -v` alone would prove nothing: it is silent about dead targets.

mod expected;
pub mod explain;
mod judge;
pub mod modprobe;

use std::path::Path;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use rayon::prelude::*;
use serde::Serialize;

use crate::module_index::Kernel;
use crate::old::modules_conf::End;
use crate::plan::{Plan, Target};
use crate::verify::modprobe::Modprobe;
use expected::{Expected, Load, expected};
use judge::{Judge, shown};

/// How a name compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The same module, options and commands.
    Same,
    /// Nothing was loaded then, nothing is now.
    Off,
    /// The module does not exist any more, or not in this kernel: nothing of ours answers.
    Gone,
    /// A person has to decide about its lines first.
    Open,
    /// It differs.
    Different,
}

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name in the old configuration.
    pub name: String,
    /// What it did then.
    pub then: String,
    /// The request by which today's kernels or old programs ask.
    pub request: String,
    /// What modprobe answers now.
    pub now: String,
    /// How they compare.
    pub verdict: Verdict,
    /// What differs.
    pub why: String,
}

/// The whole comparison.
#[derive(Debug, Serialize)]
pub struct Report {
    /// A row for each name and request.
    pub rows: Vec<Row>,
    /// What modprobe complained about when it read the files.
    pub complaints: String,
}

impl Report {
    /// Nothing differs and modprobe did not complain.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty() && self.rows.iter().all(|row| row.verdict != Verdict::Different)
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings are JSON")
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["name", "then", "asked for as", "now", "verdict"]);
        for row in &self.rows {
            let verdict = format!("{:?}", row.verdict).to_lowercase();
            let verdict = if row.why.is_empty() { verdict } else { format!("{verdict}: {}", row.why) };
            table.add_row([&row.name, &row.then, &row.request, &row.now, &verdict]);
        }
        let different = self.rows.iter().filter(|row| row.verdict == Verdict::Different).count();
        let mut text = format!("{table}\n{} request(s) compared, {different} differ\n", self.rows.len());
        if !self.complaints.is_empty() {
            text.push_str(&format!("modprobe complains about the new files:\n{}", self.complaints));
        }
        text
    }
}

/// Compares.
pub fn verify(plan: &Plan) -> Result<Report, String> {
    if plan.target == Target::Modutils {
        return Err(
            "verify asks kmod's modprobe, which does not read modules.conf: use it with --target kmod"
                .to_owned(),
        );
    }
    let Some(kernel) = &plan.kernel else {
        return Err(
            "verify needs a kernel's module index: name it with --kernel-root DIR (and --kernel RELEASE)"
                .to_owned(),
        );
    };
    let directory = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    lay_out(plan, directory.path())?;
    let modprobe = Modprobe { kernel, configuration: directory.path() };
    let judge = Judge::new(&modprobe)?;
    let complaints = judge.complaints.clone();
    let rows: Result<Vec<Vec<Row>>, String> =
        plan.meaning.names.par_iter().map(|name| compare(plan, kernel, &judge, name)).collect();
    let mut rows: Vec<Row> = rows?.into_iter().flatten().collect();
    rows.extend(boot_rows(plan, &modprobe)?);
    Ok(Report { rows, complaints })
}

/// The files of modprobe.d: as they are in the root when they were applied, else as they would be.
pub fn lay_out(plan: &Plan, directory: &Path) -> Result<(), String> {
    for file in plan.files.iter().filter(|file| file.path.starts_with("/etc/modprobe.d/")) {
        let content = match plan.root.applied() {
            Some(_) => plan.root.read_as_is(&file.path)?.map(|content| content.bytes),
            None => Some(file.content()),
        };
        let path = directory.join(file.path.rsplit('/').next().unwrap_or_default());
        if let Some(content) = content {
            std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn compare(plan: &Plan, kernel: &Kernel, judge: &Judge, name: &str) -> Result<Vec<Row>, String> {
    let resolved = plan.meaning.resolve(name);
    let old = match &resolved.end {
        End::Module(module) => module.clone(),
        End::Off => "off".to_owned(),
        End::List(_, list) => list.clone(),
        End::Loop => "(a loop)".to_owned(),
    };
    let expected = expected(plan, kernel, name);
    let forms = match (&expected, resolved.chain.is_empty()) {
        // a module by its own name
        (Expected::Module(Load { today, .. }), true) if kernel.has_module(name) => vec![today.clone()],
        (Expected::Module(Load { today, .. }), true) => vec![today.clone(), name.to_owned()],
        _ => plan.meaning.forms(name),
    };
    forms
        .into_iter()
        .map(|form| {
            // a pattern of ours is asked for as a kernel would, with a number
            let request = form.strip_suffix("-*").map_or(form.clone(), |stem| format!("{stem}-0"));
            let (verdict, now, why) = judge.judge(&expected, &request)?;
            Ok(Row { name: name.to_owned(), then: expected.then(&old), request, now, verdict, why })
        })
        .collect()
}

/// Names in modules-load.d must be loadable.
fn boot_rows(plan: &Plan, modprobe: &Modprobe) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let file = plan.files.iter().find(|file| file.path == crate::new::daemon::MODULES_LOAD);
    for line in file.iter().flat_map(|file| &file.lines).filter(|line| !line.text.starts_with('#')) {
        let steps = modprobe.steps(&line.text)?;
        let verdict = if steps.is_empty() { Verdict::Different } else { Verdict::Same };
        let why = if steps.is_empty() { "cannot be loaded".to_owned() } else { String::new() };
        rows.push(Row {
            name: line.text.clone(),
            then: "loaded at boot".to_owned(),
            request: line.text.clone(),
            now: shown(&steps),
            verdict,
            why,
        });
    }
    Ok(rows)
}
