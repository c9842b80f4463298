//! Figures from samples, and the text that shows them.
#![forbid(unsafe_code)]

use super::load::{Load, Sample};
use super::options::Options;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::fmt::{self, Write};
use std::time::Duration;

/// Answers later than this count as late.
const LATE: Duration = Duration::from_secs(1);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Nobody: the helper is started without a daemon.
    Limit,
    /// A kerneld of ours.
    Ours,
    /// Another of ours, in which delayed releases wait.
    Laden,
    /// The old one.
    Old,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Who::Limit => "limit",
            Who::Ours => "ours",
            Who::Laden => "ours, delayed releases waiting",
            Who::Old => "the old one",
        })
    }
}

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
    pub load: Load,
    /// Of whom.
    pub subject: Who,
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
    pub memory: Vec<(Who, u64, u64)>,
    /// Who could not go on, with what, and why; rounds that were finished before are in the figures.
    pub given_up: Vec<(Who, Load, String)>,
    /// Wake-ups of ours in three seconds of rest.
    pub wake_ups: u64,
}

impl Report {
    /// A report without figures.
    pub fn new(options: &Options) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Options { clients, rounds, waiting, .. } = *options;
        let (rows, memory, given_up) = (Vec::new(), Vec::new(), Vec::new());
        Report { clients, rounds, waiting, processors, rows, memory, given_up, wake_ups: 0 }
    }

    /// Adds a workload: each subject's rounds, the limit first. Who finished no round has no line.
    pub fn add(&mut self, load: Load, samples: Vec<(Who, Vec<Sample>)>) {
        let limit = samples.first().map(|(_, rounds)| rounds.clone()).unwrap_or_default();
        for (subject, rounds) in samples {
            let Some(figures) = figures(&rounds) else { continue };
            let ratio = |of: fn(&Sample) -> f64| {
                median(rounds.iter().zip(&limit).map(|(ours, limit)| of(ours) / of(limit)).collect())
            };
            self.rows.push(Row {
                load,
                subject,
                p50_ratio: ratio(p50),
                rate_ratio: ratio(rate),
                cpu_ratio: ratio(cpu),
                figures,
            });
        }
    }
}

/// The figures of all rounds together; none without a request.
fn figures(rounds: &[Sample]) -> Option<Figures> {
    let mut times: Vec<Duration> = rounds.iter().flat_map(|round| round.times.iter().copied()).collect();
    times.sort();
    let last = times.len().checked_sub(1)?;
    let at = |part: f64| micros(times[(last as f64 * part) as usize]);
    let wall: f64 = rounds.iter().map(|round| round.wall.as_secs_f64()).sum();
    let cpu: f64 = rounds.iter().map(|round| micros(round.cpu)).sum();
    Some(Figures {
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
        per_second: times.len() as f64 / wall,
        cpu: cpu / times.len() as f64,
        late: times.iter().filter(|time| **time > LATE).count(),
        requests: times.len(),
        curve: (0..=200).map(|point| at(f64::from(point) / 200.0)).collect(),
    })
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
    let mut loads: Vec<Load> = report.rows.iter().map(|row| row.load).collect();
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
    for (subject, load, why) in &report.given_up {
        let _ = writeln!(text, "{subject} gave up: {}: {why}", title(report, *load));
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
pub fn title(report: &Report, load: Load) -> String {
    match load {
        Load::Sequential => "one client".to_owned(),
        Load::DifferentNames => format!("{} clients at once, different names", report.clients),
        Load::OneName => format!("{} clients at once, one name", report.clients),
        Load::Waiting => format!("one client, with {} delayed releases waiting", report.waiting),
    }
}

fn table(report: &Report, load: Load) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "p50 µs", "×", "p99 µs", "max µs", "per s", "×", "CPU µs", "×", "later than 1 s"]);
    for row in report.rows.iter().filter(|row| row.load == load) {
        let Figures { p50, p99, max, per_second, cpu, late, requests, .. } = &row.figures;
        table.add_row([
            row.subject.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finished_no_round_has_no_line() {
        let options = Options {
            new: "".into(),
            old: None,
            clients: 1,
            requests: 1,
            rounds: 1,
            waiting: 0,
            helper: None,
        };
        let mut report = Report::new(&options);
        let (times, second) = (vec![Duration::from_millis(3)], Duration::from_secs(1));
        let sample = Sample { times, wall: second, cpu: second };
        report.add(Load::OneName, vec![(Who::Limit, vec![sample]), (Who::Old, Vec::new())]);
        report.given_up.push((Who::Old, Load::OneName, "it hangs".to_owned()));
        assert_eq!(report.rows.len(), 1);
        assert!(text(&report).contains("the old one gave up: 1 clients at once, one name: it hangs"));
    }
}
