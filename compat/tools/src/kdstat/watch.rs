//! `kdstat watch`: a line for each request as it is answered.

use super::requests::{Done, Requests, local_time};
use anstyle::{AnsiColor, Style};
use kerneld_journal::{Follow, Problem, Record};
use std::path::Path;

/// Shows requests of the journal in `dir` until the reader of our output, or the directory, is gone;
/// with `all`, those that it holds already too.
pub fn watch(dir: &Path, all: bool, json: bool) -> Result<(), String> {
    let failed = |error| format!("cannot follow the journal in {}: {error}", dir.display());
    let mut follow = Follow::open(dir).map_err(failed)?;
    let mut requests = Requests::default();
    let past: Vec<Done> = follow.ready().filter_map(|result| take(&mut requests, result)).collect();
    // The header says that everything from now on is shown.
    if !json && !header() {
        return Ok(());
    }
    let mut news = if all { past } else { Vec::new() };
    loop {
        for done in &news {
            if !print(done, json)? {
                return Ok(());
            }
        }
        follow.wait().map_err(failed)?;
        news = follow.ready().filter_map(|result| take(&mut requests, result)).collect();
    }
}

fn take(requests: &mut Requests, result: Result<Record, Problem>) -> Option<Done> {
    match result {
        Ok(record) => requests.take(record),
        Err(problem) => {
            eprintln!("kdstat: {problem}");
            None
        }
    }
}

fn header() -> bool {
    let bold = Style::new().bold();
    super::output::print(
        format!(
            "{bold}{:<12} {:>8} {:>10}  {:<20} {:<34} RAN{bold:#}\n",
            "TIME", "STATUS", "MS", "SENDER", "REQUEST"
        )
        .as_bytes(),
    )
}

fn print(done: &Done, json: bool) -> Result<bool, String> {
    if json {
        return super::output::print_json(done);
    }
    let (dim, colour) = (Style::new().dimmed(), colour(done.status));
    let time = local_time(done.at, "%H:%M:%S%.3f");
    let (status, who, what, helper) = (done.status_name(), done.who(), done.what(), done.helper());
    // Milliseconds to the microsecond, without a float's rounding.
    let ms = format!("{}.{:03}", done.micros / 1000, done.micros % 1000);
    let line = format!(
        "{dim}{time}{dim:#} {colour}{status:>8}{colour:#} {ms:>10}  {who:<20} {what:<34} {dim}{helper}{dim:#}"
    );
    Ok(super::output::print(format!("{}\n", line.trim_end()).as_bytes()))
}

fn colour(status: i32) -> Style {
    let colour = match status {
        0 => AnsiColor::Green,
        1.. => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    colour.on_default()
}
