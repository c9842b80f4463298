//! Start-up scripts: lines that start or stop kerneld, or load modules by name.

use super::found::{Found, Loaded, Start};
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::old::input;
use crate::old::shell::{Simple, parse_part};
use crate::root::Root;

const SPEAKS_OF: [&str; 4] = ["kerneld", "modprobe", "insmod", "rmmod"];

fn concerns(line: &str) -> bool {
    SPEAKS_OF.iter().any(|word| line.contains(word))
        && !line.contains("insmod_")
        && !line.contains("conf.modules")
}

/// Reads one script.
pub(super) fn read(root: &Root, path: &str, account: &mut Account, found: &mut Found) -> Result<()> {
    let mut depth = 0usize;
    for read in input::lines(root, path, account, concerns)? {
        let parsed = parse_part(&read.text);
        match (read.id, &parsed) {
            (Some(line), Ok(parsed)) => {
                let chained = read.text.contains("&&") || read.text.contains("||");
                depth = commands(line, &parsed.commands, chained, depth, account, found);
                finish(line, account);
            }
            (Some(line), Err(why)) => {
                let why = format!("a line of a script that is not understood: {why}");
                account.needs_attention(line, Kind::Script, why);
            }
            (None, _) => {
                let all = parsed.iter().flat_map(|parsed| &parsed.commands);
                depth = all.fold(depth, |depth, simple| nested(simple, depth));
            }
        }
    }
    Ok(())
}

/// The commands of one line; returns how deep the script is after them.
fn commands(
    line: LineId,
    all: &[Simple],
    chained: bool,
    mut depth: usize,
    account: &mut Account,
    found: &mut Found,
) -> usize {
    let mut guarded = false;
    for simple in all {
        depth = nested(simple, depth);
        command(line, simple, depth > 0 || guarded, account, found);
        guarded = chained && !is_harmless(simple);
    }
    depth
}

/// A line that speaks of kerneld or modules and does nothing with them: a test, a message.
fn finish(line: LineId, account: &mut Account) {
    if account.line(line).fate.is_none() {
        account.dropped(line, "starts nothing and loads nothing (a test, a message or a stop)");
    }
}

/// How deep in `if`, `case`, loops and functions a script is after a command.
fn nested(simple: &Simple, depth: usize) -> usize {
    match simple.first().and_then(|word| word.value.as_deref()) {
        Some("if" | "case" | "for" | "while" | "until" | "{") => depth + 1,
        Some("fi" | "esac" | "done" | "}") => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Whether a command that `&&` chains to another hardly ever fails: a test for a program, or a module's load.
fn is_harmless(simple: &Simple) -> bool {
    simple
        .iter()
        .filter_map(|word| word.value.as_deref())
        .any(|word| word == "-x" || matches!(word.rsplit('/').next(), Some("modprobe" | "insmod" | "depmod")))
}

const WRAPPERS: [&str; 16] = [
    "if",
    "then",
    "else",
    "elif",
    "do",
    "{",
    "!",
    "exec",
    "nohup",
    "daemon",
    "startproc",
    "loadproc",
    "nice",
    "echo",
    "test",
    "[",
];

fn command(line: LineId, simple: &Simple, conditional: bool, account: &mut Account, found: &mut Found) {
    let words: Vec<Option<&str>> = simple.iter().map(|word| word.value.as_deref()).collect();
    let skipped = words.iter().take_while(|word| word.is_some_and(is_wrapper)).count();
    if words[..skipped].iter().any(|word| matches!(word, Some("echo" | "test" | "["))) {
        return;
    }
    let Some(Some(program)) = words.get(skipped) else { return };
    let arguments = &words[skipped + 1..];
    match program.rsplit('/').next() {
        Some("kerneld") => started(line, arguments, account, found),
        Some("start-stop-daemon") => start_stop_daemon(line, arguments, account, found),
        Some("killall" | "killproc" | "kill") => {
            account.dropped(line, "stops or signals kerneld; there is nothing to signal")
        }
        Some(program @ ("modprobe" | "insmod")) => {
            loaded(line, program, arguments, conditional, account, found)
        }
        Some("rmmod") => account.dropped(line, "removes modules in a script; the script stays as it is"),
        _ => {}
    }
}

fn is_wrapper(word: &str) -> bool {
    WRAPPERS.contains(&word) || word.contains('=') && !word.starts_with(['-', '/'])
}

fn started(line: LineId, arguments: &[Option<&str>], account: &mut Account, found: &mut Found) {
    if arguments.iter().any(Option::is_none) {
        account.needs_attention(
            line,
            Kind::Script,
            "kerneld's arguments come from variables of the script, which only the running script knows",
        );
        return;
    }
    found.starts.push(Start::read(line, arguments.iter().flatten().copied()));
    account.rewritten(line, "kernels from 2.1.90 on run modprobe themselves");
}

fn start_stop_daemon(line: LineId, arguments: &[Option<&str>], account: &mut Account, found: &mut Found) {
    let words: Vec<&str> = arguments.iter().flatten().copied().collect();
    if !words.iter().any(|word| word.ends_with("/kerneld")) {
        return;
    }
    if words.contains(&"--start") || words.contains(&"-S") {
        let own = words.iter().position(|word| *word == "--").map_or(words.len(), |index| index + 1);
        let own: Vec<Option<&str>> = words[own..].iter().map(|word| Some(*word)).collect();
        started(line, &own, account, found);
    } else {
        account.dropped(line, "stops kerneld; there is none to stop");
    }
}

fn loaded(
    line: LineId,
    program: &str,
    arguments: &[Option<&str>],
    conditional: bool,
    account: &mut Account,
    found: &mut Found,
) {
    let ask = |account: &mut Account, kind, why: &str| account.needs_attention(line, kind, why);
    let Some(words) = arguments.iter().copied().collect::<Option<Vec<&str>>>() else {
        return ask(
            account,
            Kind::Script,
            "what is loaded here comes from variables or commands of the script",
        );
    };
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "--").collect();
    let flags = words.iter().take_while(|word| word.starts_with('-')).count();
    let (flags, rest) = words.split_at(flags);
    if flags.iter().any(|flag| flag.contains('r') && !flag.starts_with("--")) {
        return account.dropped(line, "removes modules in a script; the script stays as it is");
    }
    if !flags.iter().all(|flag| PLAIN_FLAGS.contains(flag)) {
        let why = format!("`{program} {}` is not understood today", flags.join(" "));
        return ask(account, Kind::Command, &why);
    }
    if conditional {
        let why = "loads modules only under a condition of this script: decide whether it holds";
        return ask(account, Kind::Script, why);
    }
    let names = if flags.contains(&"-a") { rest.len() } else { rest.len().min(1) };
    let (names, options) = rest.split_at(names);
    found.loaded.extend(names.iter().map(|name| module(line, name, options)));
}

/// Flags of modprobe and insmod that change nothing about which modules are loaded.
const PLAIN_FLAGS: [&str; 8] = ["-k", "-s", "-v", "-q", "-sk", "-ks", "-f", "-a"];

fn module(line: LineId, name: &str, options: &[&str]) -> Loaded {
    let file = name.rsplit('/').next().unwrap_or(name);
    let name = file.strip_suffix(".o").unwrap_or(file).to_owned();
    Loaded { line, name, options: options.iter().map(|word| (*word).to_owned()).collect() }
}
