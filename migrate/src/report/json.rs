//! The plan as JSON.

use serde::Serialize;

use crate::account::Fate;
use crate::old::bytes::{for_display, lines_for_display};
use crate::plan::Plan;

/// The document: `{"lines":[…],"files":[…],"summary":{…}}`.
#[derive(Serialize)]
struct Document<'a> {
    lines: Vec<Line<'a>>,
    files: Vec<File<'a>>,
    summary: Summary,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: usize,
    text: String,
    fate: &'static str,
    why: String,
    output: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    content: String,
}

/// How many lines have each fate.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Lines whose meaning is written.
    pub rewritten: usize,
    /// Lines for which nothing is written.
    pub dropped: usize,
    /// Lines that need a person.
    pub needs_attention: usize,
}

impl Summary {
    /// Counts the lines of a plan.
    pub fn of(plan: &Plan) -> Summary {
        Summary {
            rewritten: plan.account.count(Fate::Rewritten),
            dropped: plan.account.count(Fate::Dropped),
            needs_attention: plan.account.count(Fate::NeedsAttention),
        }
    }
}

/// The plan as a JSON document. Bytes that are not UTF-8 are shown as Latin-1.
pub fn document(plan: &Plan) -> serde_json::Value {
    let lines = plan
        .account
        .lines()
        .iter()
        .map(|line| Line {
            file: &line.file,
            line: line.number,
            text: for_display(&line.text),
            fate: line.fate.map_or("", Fate::word),
            why: lines_for_display(&line.why.join("; ")),
            output: line.output.iter().map(|place| Place { file: &place.file, line: place.line }).collect(),
        })
        .collect();
    let files = plan
        .files
        .iter()
        .map(|file| File {
            path: &file.path,
            content: file.lines.iter().map(|line| for_display(&line.text) + "\n").collect(),
        })
        .collect();
    let document = Document { lines, files, summary: Summary::of(plan), notes: &plan.notes };
    serde_json::to_value(&document).expect("strings and numbers are JSON")
}
