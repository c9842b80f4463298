//! The plan for a terminal: what needs a person, then what changes, and on request the whole of it.

use std::fmt::Write as _;

use similar::TextDiff;

use super::json::Summary;
use crate::account::{Kind, Line, OutputPlace};
use crate::old::bytes::{for_display, from_bytes};
use crate::plan::Plan;

/// A line and its place have this many characters where the line is cut: with the rest, a row has 100.
const SHOWN: usize = 78;
/// The same in the line-by-line account.
const SHOWN_FULL: usize = 200;

/// The report: what needs a person, grouped by the kind of question, and what changes. With `full` also the new
/// files as differences, and the fate of every line.
pub fn report(plan: &Plan, full: bool) -> String {
    let mut out = String::new();
    for (kind, lines) in plan.account.questions() {
        questions(kind, &lines, &mut out);
    }
    changes(plan, &mut out);
    for note in &plan.notes {
        let _ = writeln!(out, "note: {}", for_display(note));
    }
    if full {
        out.push('\n');
        diffs(plan, &mut out);
        account(plan, &mut out);
    }
    let summary = Summary::of(plan);
    let _ = writeln!(
        out,
        "\n{} line(s) rewritten, {} dropped, {} need attention; {} file(s)",
        summary.rewritten,
        summary.dropped,
        summary.needs_attention,
        plan.files.len()
    );
    if !full {
        out.push_str("Every line and every change: plan --full; as a page: plan --format html\n");
    }
    out
}

/// The questions of one kind, what to do about them, and the words that go on without these lines.
fn questions(kind: Kind, lines: &[&Line], out: &mut String) {
    let _ = writeln!(out, "A person has to decide: {} ({})", kind.heading(), lines.len());
    let mut last_why = String::new();
    for line in lines {
        let place = line.place();
        let shown = SHOWN.saturating_sub(place.chars().count()).max(20);
        let _ = writeln!(out, "  {place}  {}", cut(&for_display(line.text.trim()), shown));
        let why = line.why.join("; ");
        if why != last_why {
            wrapped(&why, "      ", out);
        }
        last_why = why;
    }
    wrapped(kind.advice(), "  -> ", out);
    let places: Vec<String> = lines.iter().map(|line| line.place()).collect();
    let _ = writeln!(out, "     --accept {}\n", places.join(" "));
}

/// A text in lines of at most 100 columns; the first begins with `first`, the others as far in.
fn wrapped(text: &str, first: &str, out: &mut String) {
    let (width, blank) = (100 - first.len(), " ".repeat(first.len()));
    let mut start = first;
    for paragraph in text.lines().filter(|line| !line.is_empty()) {
        let mut row = String::new();
        for word in for_display(paragraph).split(' ') {
            if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > width {
                let _ = writeln!(out, "{start}{row}");
                (start, row) = (&blank, String::new());
            }
            row.push_str(if row.is_empty() { "" } else { " " });
            row.push_str(word);
        }
        let _ = writeln!(out, "{start}{row}");
        start = &blank;
    }
}

/// The files that would be written, a line each.
fn changes(plan: &Plan, out: &mut String) {
    if !plan.files.is_empty() {
        out.push_str("To be written:\n");
    }
    for file in &plan.files {
        let old = plan.root.read_as_is(&file.path).ok().flatten();
        let what = match old {
            Some(content) if content.bytes == file.content() => "is in place already",
            Some(_) => "changed",
            None => "new",
        };
        let lines = file.lines.iter().filter(|line| !line.text.starts_with('#')).count();
        let _ = writeln!(out, "  {:<66} {what}, {lines} line(s)", file.path);
    }
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
    let text = cut(&for_display(line.text.trim()), SHOWN_FULL);
    let _ = writeln!(out, "{:>6}  {fate:<15}  {text}", line.number);
    for range in ranges(&line.output) {
        let _ = writeln!(out, "{:25}-> {range}", "");
    }
    for why in line.why.iter().flat_map(|why| why.lines()).filter(|text| !text.is_empty()) {
        let _ = writeln!(out, "{:25}{}", "", cut(&for_display(why), SHOWN_FULL));
    }
}

/// The places in few words: `FILE:3-15,18`.
fn ranges(places: &[OutputPlace]) -> Vec<String> {
    let mut out: Vec<(String, Vec<(usize, usize)>)> = Vec::new();
    for place in places {
        match out.last_mut() {
            Some((file, ranges)) if **file == *place.file => match ranges.last_mut() {
                Some((_, end)) if *end + 1 == place.line => *end = place.line,
                _ => ranges.push((place.line, place.line)),
            },
            _ => out.push((place.file.to_string(), vec![(place.line, place.line)])),
        }
    }
    let number = |(start, end): &(usize, usize)| {
        if start == end { start.to_string() } else { format!("{start}-{end}") }
    };
    let range = |(file, ranges): (String, Vec<(usize, usize)>)| {
        format!("{file}:{}", ranges.iter().map(number).collect::<Vec<_>>().join(","))
    };
    out.into_iter().map(range).collect()
}

fn cut(text: &str, shown: usize) -> String {
    match text.char_indices().nth(shown) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
