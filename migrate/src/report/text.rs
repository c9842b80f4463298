//! The plan for a terminal: what would be written, as a diff, and the account of every line.

use std::fmt::Write as _;

use similar::TextDiff;

use super::json::Summary;
use crate::account::Line;
use crate::old::bytes::{for_display, from_bytes};
use crate::plan::Plan;

/// Lines longer than this are shown cut.
const SHOWN: usize = 200;

/// The whole report.
pub fn report(plan: &Plan) -> String {
    let mut out = String::new();
    for note in &plan.notes {
        let _ = writeln!(out, "note: {note}");
    }
    diffs(plan, &mut out);
    account(plan, &mut out);
    let summary = Summary::of(plan);
    let _ = writeln!(
        out,
        "\n{} line(s) rewritten, {} dropped, {} need attention; {} file(s)",
        summary.rewritten,
        summary.dropped,
        summary.needs_attention,
        plan.files.len()
    );
    out
}

fn diffs(plan: &Plan, out: &mut String) {
    for file in &plan.files {
        let old = plan.root.read_as_is(&file.path).ok().flatten().map(|content| from_bytes(&content.bytes));
        let new = from_bytes(&file.content());
        let from = if old.is_some() { file.path.as_str() } else { "/dev/null" };
        let old = old.unwrap_or_default();
        if old == new {
            let _ = writeln!(out, "{}: is in place already", file.path);
            continue;
        }
        let diff = TextDiff::from_lines(old.as_str(), new.as_str())
            .unified_diff()
            .header(from, &file.path)
            .to_string();
        for line in diff.lines() {
            let _ = writeln!(out, "{}", for_display(line));
        }
        out.push('\n');
    }
}

fn account(plan: &Plan, out: &mut String) {
    let mut file = None;
    for line in plan.account.lines() {
        if file != Some(&line.file) {
            let _ = writeln!(out, "\n{}", for_display(&line.file));
            file = Some(&line.file);
        }
        entry(line, out);
    }
}

fn entry(line: &Line, out: &mut String) {
    let fate = line.fate.map_or("", |fate| fate.word());
    let _ = writeln!(out, "{:>6}  {fate:<15}  {}", line.number, cut(&for_display(line.text.trim())));
    for place in &line.output {
        let _ = writeln!(out, "{:25}-> {}:{}", "", place.file, place.line);
    }
    for why in &line.why {
        for text in why.lines().filter(|text| !text.is_empty()) {
            let _ = writeln!(out, "{:25}{}", "", cut(&for_display(text)));
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
