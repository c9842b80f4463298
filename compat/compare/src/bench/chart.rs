//! The figures as a picture.
#![forbid(unsafe_code)]

use super::load::Load;
use super::report::{Report, Row, Who, title};
use svg::Document;
use svg::node::element::{Circle, Line, Polyline, Rectangle, Text};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 560.0;
/// A colour a subject, told apart by the colour-blind too (Okabe and Ito).
const COLOURS: [&str; 4] = ["#555555", "#0072b2", "#e69f00", "#009e73"];
const INK: &str = "#222222";
const FAINT: &str = "#dddddd";

struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Draws the chart.
pub fn svg(report: &Report) -> String {
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("width", WIDTH)
        .set("height", HEIGHT)
        .set("font-family", "Helvetica, Arial, sans-serif")
        .add(Rectangle::new().set("width", WIDTH).set("height", HEIGHT).set("fill", "white"))
        .add(words(
            "From a request to its answer, beside starting the helper oneself",
            30.0,
            36.0,
            20.0,
            "start",
        ));
    document = curves(document, report, &Frame { left: 70.0, top: 90.0, width: 400.0, height: 380.0 });
    document = bars(document, report, &Frame { left: 560.0, top: 90.0, width: 400.0, height: 380.0 });
    let memory = report.memory.first().map_or(String::new(), |(_, before, after)| {
        format!("Memory of ours, both processes: {before} KiB before, {after} KiB after. ")
    });
    let note = format!(
        "{memory}{} rounds in turn, {} processors; ratios are medians over the rounds.",
        report.rounds, report.processors
    );
    document.add(words(&note, 30.0, HEIGHT - 18.0, 12.0, "start")).to_string()
}

/// How many of 100 requests took no longer: one client.
fn curves(mut document: Document, report: &Report, frame: &Frame) -> Document {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.load == Load::Sequential).collect();
    let all = || rows.iter().flat_map(|row| row.figures.curve.iter().copied());
    let (low, high) = (all().fold(f64::MAX, f64::min).max(1.0), all().fold(1.0, f64::max));
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    let x = |micros: f64| frame.left + (micros.max(1.0).log10() - low) / (high - low) * frame.width;
    let y = |percent: f64| frame.top + frame.height * (1.0 - percent / 100.0);
    document =
        document.add(words("One client: time of a request", frame.left, frame.top - 22.0, 15.0, "start"));
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        document = document
            .add(rule(frame.left, y(percent), frame.left + frame.width, y(percent)))
            .add(words(&format!("{percent} %"), frame.left - 8.0, y(percent) + 4.0, 12.0, "end"));
    }
    for power in low as i32..=high as i32 {
        let micros = 10f64.powi(power);
        document = document.add(rule(x(micros), frame.top, x(micros), frame.top + frame.height)).add(words(
            &time(micros),
            x(micros),
            frame.top + frame.height + 18.0,
            12.0,
            "middle",
        ));
    }
    for (at, row) in rows.iter().enumerate() {
        let curve = row.figures.curve.iter().enumerate();
        let points: Vec<String> =
            curve.map(|(point, micros)| format!("{:.1},{:.1}", x(*micros), y(point as f64 / 2.0))).collect();
        document = document.add(
            Polyline::new()
                .set("points", points.join(" "))
                .set("fill", "none")
                .set("stroke", COLOURS[at % 4])
                .set("stroke-width", 2.5),
        );
        let (left, top) = (frame.left + frame.width * 0.52, y(42.0) + 22.0 * at as f64);
        let label = format!("{}: {} (× {:.2})", row.subject, time(row.figures.p50), row.p50_ratio);
        document = document
            .add(Circle::new().set("cx", left).set("cy", top - 4.0).set("r", 5).set("fill", COLOURS[at % 4]))
            .add(words(&label, left + 12.0, top, 13.0, "start"));
    }
    let axis = "no longer than this, the median beside the name";
    document.add(words(axis, frame.left + frame.width / 2.0, frame.top + frame.height + 38.0, 12.0, "middle"))
}

/// Requests per second, as parts of the limit's.
fn bars(mut document: Document, report: &Report, frame: &Frame) -> Document {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.subject != Who::Limit).collect();
    let most = rows.iter().map(|row| row.rate_ratio).fold(1.0, f64::max) * 1.15;
    let x = |ratio: f64| frame.left + ratio / most * frame.width;
    document = document.add(words(
        "Requests per second, × the limit's",
        frame.left,
        frame.top - 22.0,
        15.0,
        "start",
    ));
    let step = frame.height / rows.len().max(1) as f64;
    let mut labels = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let top = frame.top + step * at as f64;
        let colour = COLOURS[match row.subject {
            Who::Limit => 0,
            Who::Ours => 1,
            Who::Old => 2,
            Who::Laden => 3,
        }];
        let label = match row.subject {
            Who::Ours if row.load == Load::Waiting => "one client, no delayed releases waiting".to_owned(),
            Who::Laden => format!("one client, {} delayed releases waiting", report.waiting),
            Who::Ours => title(report, row.load),
            Who::Limit | Who::Old => format!("{} ({})", title(report, row.load), row.subject),
        };
        let value = format!("× {:.2}, {:.0} per second", row.rate_ratio, row.figures.per_second);
        let inside = row.rate_ratio / most > 0.6;
        let (at, anchor) =
            if inside { (x(row.rate_ratio) - 8.0, "end") } else { (x(row.rate_ratio) + 8.0, "start") };
        let height = (step * 0.45).min(34.0);
        document = document.add(
            Rectangle::new()
                .set("x", frame.left)
                .set("y", top + 20.0)
                .set("width", x(row.rate_ratio) - frame.left)
                .set("height", height)
                .set("fill", colour),
        );
        let value = words(&value, at, top + 24.0 + height / 2.0, 13.0, anchor);
        labels.push(words(&label, frame.left, top + 14.0, 12.0, "start"));
        labels.push(if inside { value.set("fill", "white").set("stroke", "none") } else { value });
    }
    let limit = x(1.0);
    document = document
        .add(
            rule(limit, frame.top, limit, frame.top + frame.height)
                .set("stroke", INK)
                .set("stroke-dasharray", "4 3"),
        )
        .add(words("the limit", limit, frame.top + frame.height + 18.0, 12.0, "middle"));
    // Last, so that the line does not cross them out.
    labels.into_iter().fold(document, Document::add)
}

/// Text with a white rim, to be read across lines.
fn words(text: &str, x: f64, y: f64, size: f64, anchor: &str) -> Text {
    Text::new(text)
        .set("x", x)
        .set("y", y)
        .set("font-size", size)
        .set("text-anchor", anchor)
        .set("fill", INK)
        .set("stroke", "white")
        .set("stroke-width", 3)
        .set("paint-order", "stroke")
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64) -> Line {
    Line::new().set("x1", x1).set("y1", y1).set("x2", x2).set("y2", y2).set("stroke", FAINT)
}

fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{} ms", (micros / 100.0).round() / 10.0),
        _ => format!("{} s", (micros / 100_000.0).round() / 10.0),
    }
}
