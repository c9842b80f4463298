//! The plan as one HTML page: the old lines beside the new ones, the links between them drawn as curves.
//!
//! Every row is 20 pixels high, so that where a line starts and ends is known without JavaScript.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::account::{Fate, Line};
use crate::new::output::OutputFile;
use crate::old::bytes::{for_display, lines_for_display};
use crate::plan::Plan;
use crate::report::json::Summary;

/// Height of a row in pixels.
const ROW: usize = 20;
/// Width of the middle column, where the links are drawn.
const MIDDLE: usize = 160;
/// Lines longer than this are shown cut; the title holds more.
const SHOWN: usize = 300;

const STYLE: &str = include_str!("plan.css");

/// The page.
pub fn page(plan: &Plan) -> String {
    let (old, old_rows) = old_column(plan);
    let (new, new_rows) = new_column(plan);
    let height = old_rows.count.max(new_rows.count) * ROW;
    let summary = Summary::of(plan);
    let root = escape(&plan.root.path().display().to_string());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>kerneld-migrate: {root}</title>\n\
         <style>{STYLE}</style></head>\n<body>\n<h1>From kerneld to kmod: {root}</h1>\n\
         <p class=\"summary\"><span class=\"rewritten\">{} rewritten</span> <span class=\"dropped\">{} dropped</span> \
         <span class=\"needs-attention\">{} need attention</span> {} file(s) to write</p>\n",
        summary.rewritten,
        summary.dropped,
        summary.needs_attention,
        plan.files.len()
    );
    for note in &plan.notes {
        let _ = writeln!(page, "<p>{}</p>", escape(note));
    }
    questions(plan, &mut page);
    let links = links(plan, &old_rows, &new_rows);
    let _ = write!(
        page,
        "<div class=\"columns\" style=\"height:{height}px\">\n<div class=\"old\">\n{old}</div>\n\
         <svg width=\"{MIDDLE}\" height=\"{height}\" aria-hidden=\"true\">\n{links}</svg>\n\
         <div class=\"new\">\n{new}</div>\n</div>\n"
    );
    reasons(plan, &mut page);
    page.push_str("</body></html>\n");
    page
}

/// What needs a person, grouped by the kind of question, each with what to do.
fn questions(plan: &Plan, page: &mut String) {
    for (kind, lines) in plan.account.questions() {
        let heading = escape(kind.heading());
        let _ = writeln!(
            page,
            "<details open class=\"question\"><summary>A person has to decide: {heading} ({})</summary>\n<dl>",
            lines.len()
        );
        for line in &lines {
            let text: String = for_display(line.text.trim()).chars().take(SHOWN).collect();
            let (place, why) = (escape(&line.place()), escape(&line.why.join("; ")));
            let _ = writeln!(page, "<dt>{place} <code>{}</code></dt><dd>{why}</dd>", escape(&text));
        }
        let places: Vec<String> = lines.iter().map(|line| line.place()).collect();
        let (advice, places) = (escape(kind.advice()), escape(&places.join(" ")));
        let _ = writeln!(page, "</dl><p>{advice}</p><pre>--accept {places}</pre></details>");
    }
}

/// The row of each line, by file and number.
#[derive(Default)]
struct Rows {
    of: HashMap<(String, usize), usize>,
    count: usize,
}

fn old_column(plan: &Plan) -> (String, Rows) {
    let (mut html, mut rows) = (String::new(), Rows::default());
    let mut file = None;
    for line in plan.account.lines() {
        if file != Some(&line.file) {
            file = Some(&line.file);
            heading(&mut html, &mut rows, &line.file);
        }
        rows.of.insert((line.file.to_string(), line.number), rows.count);
        rows.count += 1;
        let class = line.fate.map_or("", Fate::word);
        let why = escape(&line.why.join("; "));
        row(&mut html, class, &why, line.number, &line.text);
    }
    (html, rows)
}

fn new_column(plan: &Plan) -> (String, Rows) {
    let (mut html, mut rows) = (String::new(), Rows::default());
    for file in &plan.files {
        heading(&mut html, &mut rows, &file.path);
        for (index, line) in file.lines.iter().enumerate() {
            rows.of.insert((file.path.clone(), index + 1), rows.count);
            rows.count += 1;
            let class = if line.text.starts_with('#') { "comment" } else { "" };
            row(&mut html, class, "", index + 1, &line.text);
        }
    }
    (html, rows)
}

fn heading(html: &mut String, rows: &mut Rows, path: &str) {
    rows.count += 1;
    let _ = writeln!(html, "<h2>{}</h2>", escape(path));
}

fn row(html: &mut String, class: &str, why: &str, number: usize, text: &str) {
    let text: String = for_display(text).chars().take(SHOWN).collect();
    let _ = writeln!(
        html,
        "<div class=\"row {class}\" title=\"{why}\"><b>{number}</b><code>{}</code></div>",
        escape(&text)
    );
}

/// A curve from each old line to each new one.
fn links(plan: &Plan, old: &Rows, new: &Rows) -> String {
    let mut svg = String::new();
    let files: HashMap<&str, &OutputFile> =
        plan.files.iter().map(|file| (file.path.as_str(), file)).collect();
    for line in plan.account.lines() {
        let Some(from) = old.of.get(&(line.file.to_string(), line.number)) else { continue };
        for place in &line.output {
            let Some(to) = new.of.get(&(place.file.to_string(), place.line)) else { continue };
            let comment = files[&*place.file].lines[place.line - 1].text.starts_with('#');
            let class = if comment { "dropped" } else { line.fate.map_or("", Fate::word) };
            let (y1, y2, half) = (from * ROW + ROW / 2, to * ROW + ROW / 2, MIDDLE / 2);
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" d=\"M0 {y1}C{half} {y1} {half} {y2} {MIDDLE} {y2}\"/>"
            );
        }
    }
    svg
}

/// The reasons in full, below the columns: those of lines that need a person first.
fn reasons(plan: &Plan, page: &mut String) {
    let with_reason = |fate: Fate| {
        plan.account
            .lines()
            .iter()
            .filter(move |line| line.fate == Some(fate) && line.shares.is_none() && !line.why.is_empty())
    };
    for (fate, title) in
        [(Fate::Rewritten, "Remarks on rewritten lines"), (Fate::Dropped, "Why lines are dropped")]
    {
        let lines: Vec<&Line> = with_reason(fate).collect();
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(page, "<h3>{title}</h3>\n<dl class=\"{}\">", fate.word());
        for line in lines {
            let text: String = for_display(line.text.trim()).chars().take(SHOWN).collect();
            let _ = writeln!(page, "<dt>{} <code>{}</code></dt>", escape(&line.place()), escape(&text));
            for why in &line.why {
                let _ = writeln!(page, "<dd>{}</dd>", escape(why));
            }
        }
        page.push_str("</dl>\n");
    }
}

fn escape(text: &str) -> String {
    html_escape::encode_quoted_attribute(&lines_for_display(text)).into_owned()
}
