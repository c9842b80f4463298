//! `kdstat senders`: who still speaks kerneld, from what the journal holds.

use super::requests::{local_time, shown_comm};
use comfy_table::{CellAlignment, Table, presets};
use kerneld_journal::{Accepted, Event, Reader, Record, Text, current};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What the journal of one state directory says.
#[derive(Default, Serialize)]
struct Summary {
    /// The time of the oldest record, in microseconds since 1970: the journal is bounded.
    since: Option<u64>,
    requests: u64,
    senders: Vec<Sent>,
}

/// The same thing sent by the same command.
#[derive(Serialize)]
struct Sent {
    /// The sender's command; `None` if it is not known.
    comm: Option<String>,
    command: String,
    text: Text,
    count: u64,
    /// Microseconds since 1970.
    last: u64,
    /// The sender's pid the last time, if it is known.
    last_pid: Option<i32>,
}

/// Prints who sent what.
pub fn show(dir: &Path, json: bool) -> Result<(), String> {
    let summary = read(dir)?;
    if json {
        return super::output::print_json(&summary).map(drop);
    }
    super::output::print(table(&summary).as_bytes());
    Ok(())
}

fn read(dir: &Path) -> Result<Summary, String> {
    let failed = |error| format!("cannot read the journal in {}: {error}", dir.display());
    let mut reader = Reader::open(dir).map_err(failed)?;
    let mut summary = Summary::default();
    let mut sent = BTreeMap::new();
    for result in reader.by_ref() {
        match result {
            Ok(record) => summary.take(record, &mut sent),
            Err(problem) => eprintln!("kdstat: {problem}"),
        }
    }
    if let Some(torn) = reader.torn() {
        eprintln!("kdstat: {torn}");
    }
    if summary.since.is_none() && !current(dir).exists() {
        return Err(format!("{} has no journal: is it kerneld's --state-dir?", dir.display()));
    }
    summary.senders = sent.into_values().collect();
    Ok(summary)
}

/// By command of the sender, command of kerneld, and text.
type Key = (Option<String>, i64, Text);

impl Summary {
    fn take(&mut self, record: Record, sent: &mut BTreeMap<Key, Sent>) {
        // Carried-over records may be older than all that was in between.
        if !record.carried {
            self.since.get_or_insert(record.at);
        }
        if let Event::Accepted(accepted) = record.event {
            self.requests += 1;
            count(sent, record.at, accepted);
        }
    }
}

fn count(sent: &mut BTreeMap<Key, Sent>, at: u64, accepted: Accepted) {
    let command = accepted.command().to_string();
    let Accepted { command: number, text, sender, .. } = accepted;
    let last_pid = sender.as_ref().map(|sender| sender.pid);
    let comm = sender.and_then(|sender| sender.comm);
    let entry = sent.entry((comm.clone(), number, text.clone()));
    let sent = entry.or_insert(Sent { comm, command, text, count: 0, last: at, last_pid });
    sent.count += 1;
    sent.last = at;
    sent.last_pid = last_pid;
}

fn table(summary: &Summary) -> String {
    let since = summary.since.map_or("never".to_owned(), |at| local_time(at, "%Y-%m-%d %H:%M:%S"));
    let requests = summary.requests;
    if requests == 0 {
        return format!("no requests since {since}\n");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["SENDER", "LAST PID", "REQUEST", "COUNT", "LAST"]);
    table.add_rows(summary.senders.iter().map(row));
    for right in [1, 3] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n\n{requests} requests since {since}\n", table.trim_fmt())
}

fn row(sent: &Sent) -> [String; 5] {
    let who = shown_comm(sent.comm.as_deref());
    let pid = sent.last_pid.map_or("?".to_owned(), |pid| pid.to_string());
    let what = format!("{} '{}'", sent.command, sent.text);
    [who, pid, what, sent.count.to_string(), local_time(sent.last, "%Y-%m-%d %H:%M:%S")]
}
