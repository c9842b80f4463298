//! /etc/modules.conf for kernels 2.2 and 2.4: the same language, so the same text, with the names that changed.

use super::daemon::schedule;
use super::output::{OutputFile, OutputLine, comment};
use crate::account::Account;
use crate::error::Result;
use crate::names::{modules, requests};
use crate::old::bytes::from_bytes;
use crate::old::discover::{CRONTABS, Found};
use crate::old::modules_conf::directive::Directive;
use crate::old::modules_conf::reader::Statement;
use crate::root::Root;

const CONFIGURATION: &str = "/etc/modules.conf";
const SYSCTL: &str = "/etc/sysctl.conf";

/// How often the kmod document of 2.2 has unused modules removed, when kerneld was not told: every 5 minutes.
const EVERY: u32 = 300;

/// The files.
pub(crate) fn files(
    root: &Root,
    statements: &[Statement],
    found: &Found,
    release: Option<&str>,
    account: &mut Account,
) -> Result<Vec<OutputFile>> {
    let kernel_2_4 = release.is_none_or(|release| !release.starts_with("2.2"));
    let mut files = Vec::new();
    let lines: Vec<OutputLine> =
        statements.iter().flat_map(|statement| configuration(statement, kernel_2_4, account)).collect();
    if !lines.is_empty() {
        let series = if kernel_2_4 { "2.4" } else { "2.2" };
        let heading =
            format!("Written by kerneld-migrate for kernels {series} (kmod asks; no kerneld is needed).");
        files.push(OutputFile::with_origins(CONFIGURATION, &heading, lines, account));
    }
    for loaded in &found.loaded {
        account.dropped(loaded.line, "stays as it is: modprobe and insmod of 2.2 and 2.4 understand it");
    }
    for cleaning in &found.cleaning {
        account.dropped(cleaning.line, "stays as it is: rmmod of 2.2 and 2.4 understands it");
    }
    files.extend(sysctl(root, found)?);
    files.extend(crontab(root, found)?);
    for start in &found.starts {
        account.rewritten(start.line, "start kerneld only where /proc/sys/kernel/modprobe is absent");
    }
    Ok(files)
}

/// One directive for the new file: the same words unless a name changed.
fn configuration(statement: &Statement, kernel_2_4: bool, account: &mut Account) -> Vec<OutputLine> {
    let from = vec![statement.line];
    let texts = match &statement.directive {
        Directive::Alias { name, targets } => match requests::under_modutils(name, kernel_2_4) {
            Err(why) => {
                let why = if why.is_empty() { "no kernel of this series asks for it" } else { why };
                account.dropped(statement.line, why);
                return vec![OutputLine {
                    text: comment(&format!("left out: {} ({why})", statement.text)),
                    from,
                }];
            }
            Ok(names) => {
                let target = &targets[0].text;
                match (modules::under_modutils(name, target, kernel_2_4), names == [name.clone()]) {
                    (None, true) => vec![statement.text.clone()],
                    (today, _) => {
                        let today = today.unwrap_or(target);
                        account.note(statement.line, "the name changed");
                        names.iter().map(|name| format!("alias {name} {today}")).collect()
                    }
                }
            }
        },
        _ => vec![statement.text.clone()],
    };
    account.rewritten(statement.line, "");
    texts.into_iter().map(|text| OutputLine { text: unbroken(text), from: from.clone() }).collect()
}

/// A backslash at the end of a line would join it with the next: two stand for one.
fn unbroken(text: String) -> String {
    if text.ends_with('\\') { text + "\\" } else { text }
}

/// The existing lines of a file.
fn existing(root: &Root, path: &str) -> Result<Vec<OutputLine>> {
    let content = root.read(path)?.map(|content| from_bytes(&content.bytes)).unwrap_or_default();
    Ok(content.lines().map(|text| OutputLine { text: text.to_owned(), from: Vec::new() }).collect())
}

fn sysctl(root: &Root, found: &Found) -> Result<Option<OutputFile>> {
    if found.start().is_none() {
        return Ok(None);
    }
    let from = found.starts.iter().map(|start| start.line).collect();
    let line = OutputLine { text: "kernel.modprobe = /sbin/modprobe".to_owned(), from };
    let is_key =
        |line: &OutputLine| line.text.split('=').next().is_some_and(|key| key.trim() == "kernel.modprobe");
    let mut lines = existing(root, SYSCTL)?;
    match lines.iter().position(is_key) {
        Some(index) => lines[index] = line,
        None => lines.push(line),
    }
    Ok(Some(OutputFile { path: SYSCTL.to_owned(), lines }))
}

/// root's crontab with the sweep, unless kerneld kept everything or the crontab sweeps already.
fn crontab(root: &Root, found: &Found) -> Result<Option<OutputFile>> {
    let Some(start) = found.start() else { return Ok(None) };
    if start.autoclean().is_none() || !found.cleaning.is_empty() {
        return Ok(None);
    }
    let path = CRONTABS.iter().find(|path| root.exists(path)).or_else(|| {
        CRONTABS.iter().find(|path| path.rsplit_once('/').is_some_and(|(folder, _)| root.exists(folder)))
    });
    let path = path.unwrap_or(&CRONTABS[0]);
    let text = format!("{} /sbin/rmmod -a", schedule(start.delay.unwrap_or(EVERY)));
    let mut lines = existing(root, path)?;
    lines.push(OutputLine { text, from: vec![start.line] });
    Ok(Some(OutputFile { path: (*path).to_owned(), lines }))
}
