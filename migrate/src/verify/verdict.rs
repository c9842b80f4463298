//! The outcome of a comparison, name by name.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

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
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(100)
            .set_header(["name", "then", "asked for as", "now", "verdict"]);
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
