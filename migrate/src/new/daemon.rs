//! What takes the place of the daemon's start: kernel.modprobe, the sweep over unused modules,
//! and the settings that only a kerneld of today can serve.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::commands::AUTOCLEAN;
use super::output::{OutputFile, OutputLine};
use crate::account::{Account, LineId};
use crate::old::bytes::from_bytes;
use crate::old::discover::{Found, Start};
use crate::old::modules_conf::Meaning;
use crate::root::Root;

/// The kernel's path of modprobe.
pub const SYSCTL: &str = "/etc/sysctl.d/60-kerneld-migrated.conf";
/// The words that the daemon is started with.
pub const WORDS: &str = "/etc/systemd/system/kerneld.service.d/60-kerneld-migrated.conf";
/// The daemon's settings.
pub const SETTINGS: &str = "/etc/kerneld.toml";
/// The sweep as a cron line.
pub const CRON: &str = "/etc/cron.d/kerneld-migrated";
/// The sweep as a systemd timer.
pub const TIMER: &str = "/etc/systemd/system/kerneld-autoclean.timer";
/// What the timer starts.
pub const SERVICE: &str = "/etc/systemd/system/kerneld-autoclean.service";

const HEADING: &str =
    "Written by kerneld-migrate. It is replaced by the next run; `kerneld-migrate undo` removes it.";

/// The files that follow from how kerneld was started and cleaned up after.
pub fn files(root: &Root, found: &Found, meaning: &Meaning, account: &mut Account) -> Vec<OutputFile> {
    let mut files = Vec::new();
    if let Some(start) = found.start() {
        let all: Vec<LineId> = found.starts.iter().map(|start| start.line).collect();
        if !start.others.is_empty() {
            let ignored = start.others.join(" ");
            account.note(start.line, format!("words that change nothing today: {ignored}"));
        }
        let modprobe = OutputLine { text: "kernel.modprobe = /sbin/modprobe".to_owned(), from: all.clone() };
        files.push(OutputFile::with_origins(SYSCTL, HEADING, vec![modprobe], account));
        for (path, lines) in [(WORDS, words(start)), (SETTINGS, settings(found))] {
            if !lines.is_empty() {
                let lines = lines.into_iter().map(|text| OutputLine { text, from: all.clone() }).collect();
                files.push(OutputFile::with_origins(path, HEADING, lines, account));
            }
        }
    }
    for start in found.starts.iter().filter(|_| found.forbids.is_some()) {
        account.dropped(start.line, "not in force: kerneld is switched off elsewhere");
    }
    for keep in &meaning.keep_loaded {
        account.dropped(
            keep.line,
            "only the sweep of our daemon removes modules, and only those that were loaded through it: \
             name this one in modules-load.d to keep it loaded",
        );
    }
    files.extend(sweep(found, account));
    files.extend(without_old_sweeps(root, found, account));
    files
}

/// The daemon's unit started with kerneld's own words.
fn words(start: &Start) -> Vec<String> {
    let delay = start.delay.map(|delay| format!(" delay={delay}")).unwrap_or_default();
    let keep = if start.keep { " keep" } else { "" };
    if delay.is_empty() && keep.is_empty() {
        return Vec::new();
    }
    vec!["[Service]".to_owned(), "ExecStart=".to_owned(), format!("ExecStart=/usr/sbin/kerneld{delay}{keep}")]
}

/// The daemon's settings, in TOML.
fn settings(found: &Found) -> Vec<String> {
    let mut lines = Vec::new();
    let mut set = |table: &str, key: &str, value: &str| {
        lines.extend([format!("[{table}]"), format!("{key} = {}", serde_json::Value::from(value))]);
    };
    if found.route {
        set("route", "helper", "/sbin/request-route");
    }
    if found.blanker {
        set("blanker", "helper", "/sbin/screenblanker");
    }
    if let Some(path) = &found.persist {
        set("persist", "file", path);
    }
    lines
}

/// The crontabs without the lines whose `rmmod -a` would only mail an error each time today.
fn without_old_sweeps(root: &Root, found: &Found, account: &mut Account) -> Vec<OutputFile> {
    let mut files: BTreeMap<String, Vec<OutputLine>> = BTreeMap::new();
    for cleaning in &found.cleaning {
        let line = account.line(cleaning.line);
        let (path, index) = (line.file.to_string(), line.number - 1);
        let lines = match files.entry(path.clone()) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(file) => {
                let Ok(Some(content)) = root.read(&path) else { continue };
                let kept = |text: &str| OutputLine { text: text.to_owned(), from: Vec::new() };
                file.insert(from_bytes(&content.bytes).lines().map(kept).collect())
            }
        };
        if let Some(old) = lines.get_mut(index) {
            old.text = format!("# taken out by kerneld-migrate: {}", old.text);
            old.from = vec![cleaning.line];
        }
    }
    files.into_iter().map(|(path, lines)| OutputFile { path, lines }).collect()
}

/// The sweep over unused modules: a timer and a cron line, of which the admin picks one.
fn sweep(found: &Found, account: &mut Account) -> Vec<OutputFile> {
    let start = found.start();
    let told = start.and_then(|start| Some((start.line, start.autoclean()?)));
    let mut cron = Vec::new();
    let mut files = Vec::new();
    if let Some((line, seconds)) = told {
        files.extend(units(line, seconds, account));
        let text = format!("#{} root {AUTOCLEAN}", schedule(seconds));
        cron.push(OutputLine { text, from: vec![line] });
    }
    for cleaning in &found.cleaning {
        let text = format!("{} root {AUTOCLEAN}", cleaning.schedule);
        cron.push(OutputLine { text, from: vec![cleaning.line] });
    }
    if !cron.is_empty() {
        let heading = format!(
            "{HEADING}\nUse this or kerneld-autoclean.timer, not both: take the # away to use this one."
        );
        files.push(OutputFile::with_origins(CRON, &heading, cron, account));
    }
    files
}

/// The timer's two units for a sweep every so many seconds.
fn units(line: LineId, seconds: u32, account: &Account) -> [OutputFile; 2] {
    let unit = |text: &str| -> Vec<OutputLine> {
        text.lines().map(|text| OutputLine { text: text.to_owned(), from: vec![line] }).collect()
    };
    let description = "[Unit]\nDescription=Remove kernel modules that nothing uses";
    let timer = format!(
        "{description}\n[Timer]\nOnBootSec={seconds}s\nOnUnitActiveSec={seconds}s\n\
         [Install]\nWantedBy=timers.target"
    );
    let service = format!("{description}\n[Service]\nType=oneshot\nExecStart={AUTOCLEAN}");
    let heading = format!("{HEADING}\nTo use it: systemctl enable --now kerneld-autoclean.timer");
    [
        OutputFile::with_origins(TIMER, &heading, unit(&timer), account),
        OutputFile::with_origins(SERVICE, HEADING, unit(&service), account),
    ]
}

/// The cron fields for a sweep every so many seconds: whole minutes, rounded to a divisor of 60.
pub fn schedule(seconds: u32) -> String {
    match minutes(seconds) {
        60 => "0 * * * *".to_owned(),
        minutes => format!("0-59/{minutes} * * * *"),
    }
}

/// max(1, ceil(seconds / 60)), rounded to the nearest divisor of 60 (up when two are as near).
fn minutes(seconds: u32) -> u32 {
    let exact = seconds.div_ceil(60).max(1);
    let distance = |divisor: u32| divisor.abs_diff(exact);
    [60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1]
        .into_iter()
        .min_by_key(|divisor| distance(*divisor))
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_become_divisors_of_an_hour() {
        for (seconds, minutes_) in
            [(1, 1), (60, 1), (61, 2), (120, 2), (300, 5), (420, 6), (480, 10), (3600, 60), (99999, 60)]
        {
            assert_eq!(minutes(seconds), minutes_, "{seconds}");
        }
        assert_eq!(schedule(300), "0-59/5 * * * *");
        assert_eq!(schedule(7200), "0 * * * *");
    }
}
