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

impl Frame {
    fn bottom(&self) -> f64 {
        self.top + self.height
    }
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
fn curves(document: Document, report: &Report, frame: &Frame) -> Document {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.load == Load::Sequential).collect();
    let axes = Axes::around(&rows, frame);
    let title = words("One client: time of a request", frame.left, frame.top - 22.0, 15.0, "start");
    let document = axes.grid(document.add(title));
    let document =
        rows.iter().enumerate().fold(document, |document, (at, row)| axes.curve(document, at, row));
    let axis = "no longer than this, the median beside the name";
    document.add(words(axis, frame.left + frame.width / 2.0, frame.bottom() + 38.0, 12.0, "middle"))
}

/// Where times and shares of the requests lie in a frame; times by their logarithm, over whole powers of ten.
struct Axes<'a> {
    frame: &'a Frame,
    /// Powers of ten of the shortest and of the longest time, in microseconds.
    low: f64,
    high: f64,
}

impl<'a> Axes<'a> {
    fn around(rows: &[&Row], frame: &'a Frame) -> Self {
        let all = || rows.iter().flat_map(|row| row.figures.curve.iter().copied());
        let (low, high) = (all().fold(f64::MAX, f64::min).max(1.0), all().fold(1.0, f64::max));
        Axes { frame, low: low.log10().floor(), high: high.log10().ceil() }
    }

    fn x(&self, micros: f64) -> f64 {
        let part = (micros.max(1.0).log10() - self.low) / (self.high - self.low);
        self.frame.left + part * self.frame.width
    }

    fn y(&self, percent: f64) -> f64 {
        self.frame.top + self.frame.height * (1.0 - percent / 100.0)
    }

    fn grid(&self, mut document: Document) -> Document {
        let Frame { left, top, width, .. } = *self.frame;
        let bottom = self.frame.bottom();
        for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
            let y = self.y(percent);
            document = document.add(rule(left, y, left + width, y)).add(words(
                &format!("{percent} %"),
                left - 8.0,
                y + 4.0,
                12.0,
                "end",
            ));
        }
        for power in self.low as i32..=self.high as i32 {
            let micros = 10f64.powi(power);
            let x = self.x(micros);
            document = document.add(rule(x, top, x, bottom)).add(words(
                &time(micros),
                x,
                bottom + 18.0,
                12.0,
                "middle",
            ));
        }
        document
    }

    /// The curve of the subject at that place of the legend, and its line there.
    fn curve(&self, document: Document, at: usize, row: &Row) -> Document {
        let curve = row.figures.curve.iter().enumerate();
        let points: Vec<String> = curve
            .map(|(point, micros)| format!("{:.1},{:.1}", self.x(*micros), self.y(point as f64 / 2.0)))
            .collect();
        let line = Polyline::new()
            .set("points", points.join(" "))
            .set("fill", "none")
            .set("stroke", COLOURS[at % 4])
            .set("stroke-width", 2.5);
        let left = self.frame.left + self.frame.width * 0.52;
        let top = self.y(42.0) + 22.0 * at as f64;
        let label = format!("{}: {} (× {:.2})", row.subject, time(row.figures.p50), row.p50_ratio);
        document
            .add(line)
            .add(Circle::new().set("cx", left).set("cy", top - 4.0).set("r", 5).set("fill", COLOURS[at % 4]))
            .add(words(&label, left + 12.0, top, 13.0, "start"))
    }
}

/// Requests per second, as parts of the limit's.
fn bars(document: Document, report: &Report, frame: &Frame) -> Document {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.subject != Who::Limit).collect();
    let most = rows.iter().map(|row| row.rate_ratio).fold(1.0, f64::max) * 1.15;
    let step = frame.height / rows.len().max(1) as f64;
    let title = words("Requests per second, × the limit's", frame.left, frame.top - 22.0, 15.0, "start");
    let mut document = document.add(title);
    let mut labels = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let bar = Bar { row, left: frame.left, top: frame.top + step * at as f64, most, width: frame.width };
        let height = (step * 0.45).min(34.0);
        document = document.add(bar.rectangle(height));
        labels.push(words(&name(report, row), frame.left, bar.top + 14.0, 12.0, "start"));
        labels.push(bar.value(height));
    }
    let limit = frame.left + frame.width / most;
    let line = rule(limit, frame.top, limit, frame.bottom());
    document = document.add(line.set("stroke", INK).set("stroke-dasharray", "4 3")).add(words(
        "the limit",
        limit,
        frame.bottom() + 18.0,
        12.0,
        "middle",
    ));
    // Last, so that the line does not cross them out.
    labels.into_iter().fold(document, Document::add)
}

/// What a bar is called.
fn name(report: &Report, row: &Row) -> String {
    match row.subject {
        Who::Ours if row.load == Load::Waiting => "one client, no delayed releases waiting".to_owned(),
        Who::Laden => format!("one client, {} delayed releases waiting", report.waiting),
        Who::Ours => title(report, row.load),
        Who::Limit | Who::Old => format!("{} ({})", title(report, row.load), row.subject),
    }
}

struct Bar<'a> {
    row: &'a Row,
    left: f64,
    top: f64,
    /// The ratio that a bar over all of the width would have.
    most: f64,
    width: f64,
}

impl Bar<'_> {
    fn length(&self) -> f64 {
        self.row.rate_ratio / self.most * self.width
    }

    fn rectangle(&self, height: f64) -> Rectangle {
        let colour = COLOURS[match self.row.subject {
            Who::Limit => 0,
            Who::Ours => 1,
            Who::Old => 2,
            Who::Laden => 3,
        }];
        Rectangle::new()
            .set("x", self.left)
            .set("y", self.top + 20.0)
            .set("width", self.length())
            .set("height", height)
            .set("fill", colour)
    }

    /// Its figures: within a long bar, beside a short one.
    fn value(&self, height: f64) -> Text {
        let value = format!("× {:.2}, {:.0} per second", self.row.rate_ratio, self.row.figures.per_second);
        let (end, y) = (self.left + self.length(), self.top + 24.0 + height / 2.0);
        if self.row.rate_ratio / self.most > 0.6 {
            words(&value, end - 8.0, y, 13.0, "end").set("fill", "white").set("stroke", "none")
        } else {
            words(&value, end + 8.0, y, 13.0, "start")
        }
    }
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
