//! Figures from samples, and the text that shows them.
#![forbid(unsafe_code)]

use super::Options;
use super::load::Sample;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// Answers later than this count as late.
const LATE: Duration = Duration::from_secs(1);

/// A subject in a workload. Times in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Median time of a request.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Requests answered in a second.
    pub per_second: f64,
    /// CPU time of a request, helper included.
    pub cpu: f64,
    /// Answers later than a second.
    pub late: usize,
    /// Requests in all.
    pub requests: usize,
    /// Times in order, thinned out to at most 200 points, for the chart.
    pub curve: Vec<f64>,
}

/// A line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was asked.
    pub load: String,
    /// Of whom.
    pub subject: String,
    /// The figures of all rounds together.
    pub figures: Figures,
    /// Median of the rounds' ratios to the limit of the same round: of the median time.
    pub p50_ratio: f64,
    /// Of the requests per second.
    pub rate_ratio: f64,
    /// Of the CPU time.
    pub cpu_ratio: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Clients at once.
    pub clients: usize,
    /// How often subjects took turns.
    pub rounds: usize,
    /// Delayed releases that waited.
    pub waiting: usize,
    /// Processors.
    pub processors: usize,
    /// Lines, workload by workload.
    pub rows: Vec<Row>,
    /// Subject, PSS in KiB of all its processes before and after.
    pub memory: Vec<(String, u64, u64)>,
    /// Wake-ups of ours in three seconds of rest.
    pub wake_ups: u64,
}

impl Report {
    /// A report without figures.
    pub fn new(options: &Options) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Options { clients, rounds, waiting, .. } = *options;
        Report { clients, rounds, waiting, processors, rows: Vec::new(), memory: Vec::new(), wake_ups: 0 }
    }

    /// Adds a workload: each subject's rounds, the limit first.
    pub fn add(&mut self, load: &str, samples: Vec<(String, Vec<Sample>)>) {
        let limit = samples[0].1.clone();
        for (subject, rounds) in samples {
            let ratio = |of: fn(&Sample) -> f64| {
                median(rounds.iter().zip(&limit).map(|(ours, limit)| of(ours) / of(limit)).collect())
            };
            self.rows.push(Row {
                load: load.to_owned(),
                subject,
                p50_ratio: ratio(p50),
                rate_ratio: ratio(rate),
                cpu_ratio: ratio(cpu),
                figures: figures(&rounds),
            });
        }
    }
}

fn figures(rounds: &[Sample]) -> Figures {
    let mut times: Vec<Duration> = rounds.iter().flat_map(|round| round.times.iter().copied()).collect();
    times.sort();
    let at = |part: f64| micros(times[((times.len() - 1) as f64 * part) as usize]);
    let wall: f64 = rounds.iter().map(|round| round.wall.as_secs_f64()).sum();
    let cpu: f64 = rounds.iter().map(|round| micros(round.cpu)).sum();
    Figures {
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
        per_second: times.len() as f64 / wall,
        cpu: cpu / times.len() as f64,
        late: times.iter().filter(|time| **time > LATE).count(),
        requests: times.len(),
        curve: (0..=200).map(|point| at(f64::from(point) / 200.0)).collect(),
    }
}

fn p50(sample: &Sample) -> f64 {
    median(sample.times.iter().map(|time| micros(*time)).collect())
}

fn rate(sample: &Sample) -> f64 {
    sample.times.len() as f64 / sample.wall.as_secs_f64()
}

fn cpu(sample: &Sample) -> f64 {
    micros(sample.cpu) / sample.times.len() as f64
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The report for people.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut loads: Vec<&str> = report.rows.iter().map(|row| row.load.as_str()).collect();
    loads.dedup();
    for load in loads {
        let _ = writeln!(text, "{}\n{}", title(report, load), table(report, load));
    }
    for (subject, before, after) in &report.memory {
        let _ = writeln!(
            text,
            "memory of {subject} (PSS, all its processes): {before} KiB before, {after} KiB after"
        );
    }
    let _ = writeln!(text, "wake-ups of ours in 3 s of rest: {}", report.wake_ups);
    let _ = writeln!(
        text,
        "{} rounds in turn on {} processors; ratios are medians of the rounds' ratios to the limit",
        report.rounds, report.processors
    );
    text
}

/// A workload with its numbers.
pub fn title(report: &Report, load: &str) -> String {
    match load.strip_prefix("clients") {
        Some(rest) => format!("{} clients{rest}", report.clients),
        None => load.replace("delayed", &format!("{} delayed", report.waiting)),
    }
}

fn table(report: &Report, load: &str) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "p50 µs", "×", "p99 µs", "max µs", "per s", "×", "CPU µs", "×", "later than 1 s"]);
    for row in report.rows.iter().filter(|row| row.load == load) {
        let Figures { p50, p99, max, per_second, cpu, late, requests, .. } = &row.figures;
        table.add_row([
            row.subject.clone(),
            format!("{p50:.0}"),
            format!("{:.2}", row.p50_ratio),
            format!("{p99:.0}"),
            format!("{max:.0}"),
            format!("{per_second:.0}"),
            format!("{:.2}", row.rate_ratio),
            format!("{cpu:.0}"),
            format!("{:.2}", row.cpu_ratio),
            format!("{late} of {requests}"),
        ]);
    }
    table
}
