//! What takes the place of the daemon's start: kernel.modprobe, modules-load.d, the sweep over unused modules,
//! and the settings that only a kerneld of today can serve.

use std::collections::HashMap;

use super::commands::{AUTOCLEAN, Member};
use super::modprobe_d::lines::Writer;
use super::modprobe_d::options;
use super::{OutputFile, OutputLine, comment};
use crate::account::{Account, LineId};
use crate::old::discover::{Found, Loaded, Start};
use crate::old::modules_conf::{End, Meaning};

/// Modules to load at boot, one name a line.
pub const MODULES_LOAD: &str = "/etc/modules-load.d/kerneld-migrated.conf";
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

impl Writer<'_> {
    /// Lines of modules-load.d; options given on the old command line count most, so they come last.
    pub(super) fn boot(&mut self, loaded: &[Loaded]) -> Vec<OutputLine> {
        let mut lines: Vec<OutputLine> = Vec::new();
        let mut place: HashMap<String, usize> = HashMap::new();
        for module in loaded {
            match self.member(&module.name) {
                Member::Name(today) if self.kernel.is_some_and(|kernel| kernel.is_builtin(&today)) => {
                    self.account.dropped(module.line, format!("{today} is built into the kernel"));
                }
                Member::Name(today) => {
                    self.boot_options(module, &today);
                    self.account.rewritten(module.line, "");
                    match place.get(&today) {
                        Some(index) => lines[*index].from.push(module.line),
                        None => {
                            place.insert(today.clone(), lines.len());
                            lines.push(OutputLine { text: today, from: vec![module.line] });
                        }
                    }
                }
                Member::Off => {
                    self.account.dropped(module.line, format!("{} is off: nothing was loaded", module.name))
                }
                Member::Missing(why) => {
                    let text = comment(&format!("left out: {} ({why})", module.name));
                    lines.push(OutputLine { text, from: vec![module.line] });
                    self.account.dropped(module.line, why);
                }
            }
        }
        lines
    }

    fn boot_options(&mut self, module: &Loaded, today: &str) {
        let given = |text: &String| crate::old::modules_conf::Given { text: text.clone(), line: module.line };
        let old = match self.meaning.resolve(&module.name).end {
            End::Module(old) => old,
            _ => module.name.clone(),
        };
        let words = options::today(&old, module.options.iter().map(given).collect());
        for (word, why) in words.gone {
            self.account.note(word.line, why);
        }
        let moved = words.moved.into_iter().map(|(other, word)| (other.to_owned(), word));
        for (key, word) in words.own.into_iter().map(|word| (today.to_owned(), word)).chain(moved) {
            match options::written(&word.text) {
                Ok(written) => {
                    let text = format!("options {key} {written}");
                    self.out.alias_options.push(OutputLine { text, from: vec![module.line] });
                }
                Err(why) => self.account.needs_attention(module.line, why),
            }
        }
    }
}

/// The files that follow from how kerneld was started and cleaned up after.
pub fn files(found: &Found, meaning: &Meaning, account: &mut Account) -> Vec<OutputFile> {
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

/// The sweep over unused modules: a timer and a cron line, of which the admin picks one.
fn sweep(found: &Found, account: &mut Account) -> Vec<OutputFile> {
    let start = found.start();
    let seconds = start.and_then(Start::autoclean);
    let mut cron = Vec::new();
    let mut files = Vec::new();
    if let (Some(start), Some(seconds)) = (start, seconds) {
        let from = vec![start.line];
        let unit = |lines: &[String]| -> Vec<OutputLine> {
            lines.iter().map(|text| OutputLine { text: text.clone(), from: from.clone() }).collect()
        };
        let heading = format!("{HEADING}\nTo use it: systemctl enable --now kerneld-autoclean.timer");
        let timer = unit(&[
            "[Unit]".to_owned(),
            "Description=Remove kernel modules that nothing uses".to_owned(),
            "[Timer]".to_owned(),
            format!("OnBootSec={seconds}s"),
            format!("OnUnitActiveSec={seconds}s"),
            "[Install]".to_owned(),
            "WantedBy=timers.target".to_owned(),
        ]);
        let service = unit(&[
            "[Unit]".to_owned(),
            "Description=Remove kernel modules that nothing uses".to_owned(),
            "[Service]".to_owned(),
            "Type=oneshot".to_owned(),
            format!("ExecStart={AUTOCLEAN}"),
        ]);
        files.push(OutputFile::with_origins(TIMER, &heading, timer, account));
        files.push(OutputFile::with_origins(SERVICE, HEADING, service, account));
        let text = format!("#{} root {AUTOCLEAN}", schedule(seconds));
        cron.push(OutputLine { text, from });
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
