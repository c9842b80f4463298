//! Start-up scripts: lines that start or stop kerneld, or load modules by name.

use super::found::{Found, Loaded, Start};
use super::nesting::{Nesting, Runs};
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::old::input;
use crate::old::shell::{Simple, parse_part};
use crate::root::Root;

const VARIABLE_ARGUMENTS: &str =
    "kerneld's arguments come from variables of the script, which only the running script knows";

const SPEAKS_OF: [&str; 4] = ["kerneld", "modprobe", "insmod", "rmmod"];

fn concerns(line: &str) -> bool {
    SPEAKS_OF.iter().any(|word| line.contains(word)) && !line.contains("insmod_")
}

/// Reads one script.
pub(super) fn read(root: &Root, path: &str, account: &mut Account, found: &mut Found) -> Result<()> {
    let mut nesting = Nesting::default();
    for read in input::lines(root, path, account, concerns)? {
        nesting.line(&read.text);
        let parsed = parse_part(&read.text);
        match (read.id, &parsed) {
            (Some(line), Ok(parsed)) => {
                let mut at = At { line, root, is_vendors: is_vendors(path), account, found };
                at.commands(&parsed.commands, &read.text, &mut nesting);
                at.finish();
            }
            (Some(line), Err(why)) => {
                let why = format!("a line of a script that is not understood: {why}");
                account.needs_attention(line, Kind::Script, why);
            }
            (None, _) => {
                let all = parsed.iter().flat_map(|parsed| &parsed.commands);
                all.for_each(|simple| nesting.command(simple, &read.text));
            }
        }
    }
    Ok(())
}

/// A line of a script, and what is entered for it.
struct At<'a> {
    line: LineId,
    root: &'a Root,
    is_vendors: bool,
    account: &'a mut Account,
    found: &'a mut Found,
}

impl At<'_> {
    fn commands(&mut self, all: &[Simple], text: &str, nesting: &mut Nesting) {
        let chained = text.contains("&&") || text.contains("||");
        let mut guard = Runs::Always;
        for simple in all {
            nesting.command(simple, text);
            self.command(simple, nesting.runs().max(guard));
            if chained {
                guard = guard.max(self.guards(simple));
            }
        }
    }

    /// A line that speaks of kerneld or modules and does nothing with them: a test, a message.
    fn finish(&mut self) {
        let is_loaded = self.found.loaded.iter().any(|module| module.line == self.line);
        if self.account.line(self.line).fate.is_none() && !is_loaded {
            self.account.dropped(self.line, "starts nothing and loads nothing (a test, a message or a stop)");
        }
    }

    /// Whether what `&&` chains to a command is run: after a test for a program, a file that is there or a module's
    /// load, yes.
    fn guards(&self, simple: &Simple) -> Runs {
        let words: Vec<&str> = simple.iter().filter_map(|word| word.value.as_deref()).collect();
        let is_program =
            |word: &&str| matches!(word.rsplit('/').next(), Some("modprobe" | "insmod" | "depmod"));
        match words[..] {
            _ if words.contains(&"-x") || words.iter().any(is_program) => Runs::Always,
            ["test" | "[", "-f" | "-e" | "-r" | "-s" | "-d", path, ..] if path.starts_with("/etc/") => {
                if self.root.exists(path) { Runs::Always } else { Runs::Never }
            }
            _ => Runs::Perhaps,
        }
    }

    fn command(&mut self, simple: &Simple, runs: Runs) {
        let words: Vec<Option<&str>> = simple.iter().map(|word| word.value.as_deref()).collect();
        let words = unwrapped(&words);
        let Some((Some(program), arguments)) = words.split_first() else { return };
        match program.rsplit('/').next() {
            Some("initlog") => self.initlog(arguments, runs),
            Some("kerneld") if program.contains("init.d/") => {
                self.account.dropped(self.line, "calls kerneld's start-up script, whose own lines count");
            }
            Some("kerneld") => self.started(arguments),
            Some("start-stop-daemon") => self.start_stop_daemon(arguments),
            Some("killall" | "killproc" | "kill") => {
                self.account.dropped(self.line, "stops or signals kerneld; there is nothing to signal")
            }
            Some(program @ ("modprobe" | "insmod")) => self.loaded(program, arguments, runs),
            Some("rmmod") => {
                self.account.dropped(self.line, "removes modules in a script; the script stays as it is")
            }
            _ => {}
        }
    }

    /// Red Hat's `initlog -c "COMMAND"`.
    fn initlog(&mut self, arguments: &[Option<&str>], runs: Runs) {
        let command = arguments.iter().skip_while(|word| **word != Some("-c")).nth(1).copied().flatten();
        if let Some(Ok(parsed)) = command.map(parse_part) {
            parsed.commands.iter().for_each(|simple| self.command(simple, runs));
        }
    }
}

/// Words that may stand before a command: syntax, and programs that run what follows them.
const WRAPPERS: [&str; 15] = [
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
    "action",
    "env",
];

/// A command without what runs it: `daemon +5 CMD`, `action "Loading" CMD`, `startproc -f CMD`. Nothing is left of
/// a test or a message.
fn unwrapped<'a>(words: &'a [Option<&'a str>]) -> &'a [Option<&'a str>] {
    let mut rest = words;
    while let Some((Some(word), after)) = rest.split_first() {
        rest = match word.rsplit('/').next() {
            Some("echo" | "test" | "[") => return &[],
            Some("action") => after.get(1..).unwrap_or_default(),
            Some(wrapper) if WRAPPERS.contains(&wrapper) => without_flags(after),
            _ if word.contains('=') && !word.starts_with(['-', '/']) => after,
            _ => return rest,
        };
    }
    rest
}

/// What comes after a wrapper's own flags and numbers.
fn without_flags<'a>(words: &'a [Option<&'a str>]) -> &'a [Option<&'a str>] {
    let is_flag = |word: &&Option<&str>| {
        word.is_some_and(|word| {
            word.starts_with(['-', '+']) || word.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    &words[words.iter().take_while(is_flag).count()..]
}

impl At<'_> {
    fn started(&mut self, arguments: &[Option<&str>]) {
        let Some(words) = arguments.iter().copied().collect::<Option<Vec<&str>>>() else {
            return self.account.needs_attention(self.line, Kind::Script, VARIABLE_ARGUMENTS);
        };
        self.found.starts.push(Start::read(self.line, words));
        self.account.rewritten(self.line, "kernels from 2.1.90 on run modprobe themselves");
    }

    fn start_stop_daemon(&mut self, arguments: &[Option<&str>]) {
        let words: Vec<&str> = arguments.iter().flatten().copied().collect();
        if !words.iter().any(|word| word.ends_with("/kerneld")) {
            return;
        }
        if words.contains(&"--start") || words.contains(&"-S") {
            let own = words.iter().position(|word| *word == "--").map_or(words.len(), |index| index + 1);
            let own: Vec<Option<&str>> = words[own..].iter().map(|word| Some(*word)).collect();
            self.started(&own);
        } else {
            self.account.dropped(self.line, "stops kerneld; there is none to stop");
        }
    }

    fn loaded(&mut self, program: &str, arguments: &[Option<&str>], runs: Runs) {
        let Some(words) = arguments.iter().copied().collect::<Option<Vec<&str>>>() else {
            return self.unsure("what is loaded here comes from variables or commands of the script");
        };
        let words: Vec<&str> = words.into_iter().filter(|word| *word != "--").collect();
        let flags = words.iter().take_while(|word| word.starts_with('-')).count();
        let (flags, rest) = words.split_at(flags);
        if flags.iter().any(|flag| flag.contains('r') && !flag.starts_with("--")) {
            self.account.dropped(self.line, "removes modules in a script; the script stays as it is");
        } else if !flags.iter().all(|flag| PLAIN_FLAGS.contains(flag)) {
            let why = format!("`{program} {}` is not understood today", flags.join(" "));
            self.account.needs_attention(self.line, Kind::Command, why);
        } else if runs == Runs::Never {
            let why = "is not run when this system starts; the script stays as it is";
            self.account.dropped(self.line, why);
        } else if runs == Runs::Perhaps {
            self.unsure("loads modules only under a condition of this script: decide whether it holds");
        } else {
            let names = if flags.contains(&"-a") { rest.len() } else { rest.len().min(1) };
            let (names, options) = rest.split_at(names);
            self.found.loaded.extend(names.iter().map(|name| module(self.line, name, options)));
        }
    }

    /// A load that only the running script can tell: a question, unless the script is the distribution's own.
    fn unsure(&mut self, why: &str) {
        if self.is_vendors {
            let why = "a line of the distribution's own start-up, whose work udev and systemd do today";
            self.account.dropped(self.line, why);
        } else {
            self.account.needs_attention(self.line, Kind::Script, why);
        }
    }
}

/// Whether a script came with its distribution, which looked there for hardware and for what the configuration names.
fn is_vendors(path: &str) -> bool {
    const NAMES: [&str; 22] = [
        "rc.sysinit",
        "rc.S",
        "rc.M",
        "rc.boot",
        "boot",
        "functions",
        "halt",
        "modutils",
        "module-init-tools",
        "hotplug",
        "network",
        "networking",
        "netfs",
        "usb",
        "sound",
        "alsasound",
        "alsa",
        "pcmcia",
        "kudzu",
        "harddrake",
        "random",
        "setserial",
    ];
    NAMES.contains(&path.rsplit('/').next().unwrap_or(path))
}

/// Flags of modprobe and insmod that change nothing about which modules are loaded.
const PLAIN_FLAGS: [&str; 8] = ["-k", "-s", "-v", "-q", "-sk", "-ks", "-f", "-a"];

fn module(line: LineId, name: &str, options: &[&str]) -> Loaded {
    let file = name.rsplit('/').next().unwrap_or(name);
    let name = file.strip_suffix(".o").unwrap_or(file).to_owned();
    Loaded { line, name, options: options.iter().map(|word| (*word).to_owned()).collect() }
}
