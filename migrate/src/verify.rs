//! `verify`: the new files held against the old meaning, with the real modprobe as the judge.
//!
//! What is expected comes from the old configuration's meaning; what is, from `modprobe -R` and `-D` on the new
//! files and from the kernel's own index. `-n -v` alone would prove nothing: it is silent about dead targets.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use rayon::prelude::*;
use serde::Serialize;

use crate::account::Fate;
use crate::emit::options;
use crate::kernel::Kernel;
use crate::modprobe::{Modprobe, Step};
use crate::modules_conf::{CommandKind, End, Given, ListKind};
use crate::names::modules::{self, Today};
use crate::names::{canonical, requests};
use crate::plan::{Plan, Target};

/// How a name compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The same module, options and commands.
    Same,
    /// Nothing was loaded then, nothing is now.
    Off,
    /// The module does not exist any more, or not in this kernel: nothing of ours answers.
    Gone,
    /// A person has to decide about its lines first.
    Open,
    /// It differs.
    Different,
}

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name in the old configuration.
    pub name: String,
    /// What it did then.
    pub then: String,
    /// The request by which today's kernels or old programs ask.
    pub request: String,
    /// What modprobe answers now.
    pub now: String,
    /// How they compare.
    pub verdict: Verdict,
    /// What differs.
    pub why: String,
}

/// The whole comparison.
#[derive(Debug, Serialize)]
pub struct Report {
    /// A row for each name and request.
    pub rows: Vec<Row>,
    /// What modprobe complained about when it read the files.
    pub complaints: String,
}

impl Report {
    /// Nothing differs and modprobe did not complain.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty() && self.rows.iter().all(|row| row.verdict != Verdict::Different)
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings are JSON")
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["name", "then", "asked for as", "now", "verdict"]);
        for row in &self.rows {
            let verdict = format!("{:?}", row.verdict).to_lowercase();
            let verdict = if row.why.is_empty() { verdict } else { format!("{verdict}: {}", row.why) };
            table.add_row([&row.name, &row.then, &row.request, &row.now, &verdict]);
        }
        let different = self.rows.iter().filter(|row| row.verdict == Verdict::Different).count();
        let mut text = format!("{table}\n{} request(s) compared, {different} differ\n", self.rows.len());
        if !self.complaints.is_empty() {
            text.push_str(&format!("modprobe complains about the new files:\n{}", self.complaints));
        }
        text
    }
}

/// Compares.
pub fn verify(plan: &Plan) -> Result<Report, String> {
    if plan.target == Target::Modutils {
        return Err(
            "verify asks kmod's modprobe, which does not read modules.conf: use it with --target kmod"
                .to_owned(),
        );
    }
    let Some(kernel) = &plan.kernel else {
        return Err(
            "verify needs a kernel's module index: name it with --kernel-root DIR (and --kernel RELEASE)"
                .to_owned(),
        );
    };
    let directory = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    lay_out(plan, directory.path())?;
    let modprobe = Modprobe { kernel, configuration: directory.path() };
    let complaints = modprobe.ask(&["-c"])?.complaints;
    let rows: Result<Vec<Vec<Row>>, String> =
        plan.meaning.names.par_iter().map(|name| compare(plan, kernel, &modprobe, name)).collect();
    let mut rows: Vec<Row> = rows?.into_iter().flatten().collect();
    rows.extend(boot_rows(plan, &modprobe)?);
    Ok(Report { rows, complaints })
}

/// The files of modprobe.d: as they are in the root when they were applied, else as they would be.
pub fn lay_out(plan: &Plan, directory: &Path) -> Result<(), String> {
    for file in plan.files.iter().filter(|file| file.path.starts_with("/etc/modprobe.d/")) {
        let applied = match plan.root.applied() {
            Some(_) => plan.root.read_as_is(&file.path)?.map(|content| content.bytes),
            None => None,
        };
        let name = file.path.rsplit('/').next().unwrap_or_default();
        std::fs::write(directory.join(name), applied.unwrap_or_else(|| file.content()))
            .map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    Ok(())
}

/// What a name is expected to give.
enum Expected {
    Off,
    Gone(String),
    Open,
    Module { today: String, options: Vec<Given>, commands: Vec<String> },
    Members { all: Vec<String> },
}

impl Expected {
    fn then(&self, old: &str) -> String {
        match self {
            Expected::Off => "off".to_owned(),
            Expected::Gone(why) => format!("{old} ({why})"),
            Expected::Open => old.to_owned(),
            Expected::Module { options, commands, .. } => {
                let options: String = options.iter().map(|word| format!(" {}", word.text)).collect();
                let commands = if commands.is_empty() {
                    String::new()
                } else {
                    format!(" + {} command(s)", commands.len())
                };
                format!("{old}{options}{commands}")
            }
            Expected::Members { all } => all.join(", "),
        }
    }
}

fn compare(plan: &Plan, kernel: &Kernel, modprobe: &Modprobe, name: &str) -> Result<Vec<Row>, String> {
    let resolved = plan.meaning.resolve(name);
    let old = match &resolved.end {
        End::Module(module) => module.clone(),
        End::Off => "off".to_owned(),
        End::List(_, list) => list.clone(),
        End::Loop => "(a loop)".to_owned(),
    };
    let expected = expected(plan, kernel, name);
    let forms = match (&expected, resolved.chain.is_empty()) {
        // a module by its own name
        (Expected::Module { today, .. }, true) if kernel.has_module(name) => vec![today.clone()],
        (Expected::Module { today, .. }, true) => vec![today.clone(), name.to_owned()],
        _ => requests::today(name).all(name),
    };
    forms
        .into_iter()
        .map(|form| {
            // a pattern of ours is asked for as a kernel would, with a number
            let request = form.strip_suffix("-*").map_or(form.clone(), |stem| format!("{stem}-0"));
            let (verdict, now, why) = judge(&expected, kernel, modprobe, &request)?;
            Ok(Row { name: name.to_owned(), then: expected.then(&old), request, now, verdict, why })
        })
        .collect()
}

fn expected(plan: &Plan, kernel: &Kernel, name: &str) -> Expected {
    let meaning = &plan.meaning;
    let resolved = meaning.resolve(name);
    let mut names = resolved.chain.clone();
    let module = match &resolved.end {
        End::Module(module) => module,
        End::Off if is_open(plan, name) => return Expected::Open,
        End::Off => return Expected::Off,
        End::Loop => return Expected::Open,
        End::List(kind, list) => {
            return if is_open(plan, name) { Expected::Open } else { members(plan, kernel, *kind, list) };
        }
    };
    names.push(module.clone());
    if is_open(plan, name) || name.starts_with('/') {
        return if name.starts_with('/') { Expected::Gone("devfs".to_owned()) } else { Expected::Open };
    }
    let module = if name == "tty-ldisc-3" && module == "ppp" { "ppp_async" } else { module };
    match modules::today(module, Some(kernel)) {
        Today::Module { name: today, .. } => {
            let mut words = meaning.module_options(module);
            words.extend(meaning.alias_options(&resolved.chain));
            let open = |word: &Given| plan.account.line(word.line).fate == Some(Fate::NeedsAttention);
            words.retain(|word| !open(word));
            let commands = load_commands(plan, &names);
            Expected::Module { today, options: options::today(module, words).own, commands }
        }
        Today::Builtin { name: today } => {
            Expected::Module { today, options: Vec::new(), commands: Vec::new() }
        }
        Today::Gone { why } | Today::Absent { why, .. } => Expected::Gone(why),
        Today::Unknown => Expected::Open,
    }
}

/// A line of the name is left to a person.
fn is_open(plan: &Plan, name: &str) -> bool {
    let open = |line: usize| plan.account.line(line).fate == Some(Fate::NeedsAttention);
    let meaning = &plan.meaning;
    let resolved = meaning.resolve(name);
    let mut names = resolved.chain;
    names.push(name.to_owned());
    if let End::Module(module) = resolved.end {
        names.push(module);
    }
    names.iter().any(|name| {
        meaning.aliases.get(name).is_some_and(|alias| open(alias.line))
            || meaning.options.get(name).is_some_and(|options| options.lines.iter().all(|line| open(*line)))
            || meaning
                .commands
                .get(name)
                .is_some_and(|commands| commands.values().any(|command| open(command.line)))
            || [ListKind::Above, ListKind::Below, ListKind::Probe, ListKind::Probeall]
                .iter()
                .any(|kind| meaning.members(*kind, name).iter().any(|member| open(member.line)))
    })
}

/// The programs that old commands ran when a name was loaded: what must still be in the install line.
fn load_commands(plan: &Plan, names: &[String]) -> Vec<String> {
    let kinds = [CommandKind::PreInstall, CommandKind::Install, CommandKind::PostInstall];
    let mut programs = Vec::new();
    for name in names {
        for command in kinds.iter().filter_map(|kind| plan.meaning.command_of(name, *kind)) {
            let parsed = crate::emit::shell::parse(&command.text).unwrap_or_default();
            for simple in parsed.commands {
                let program = simple.first().and_then(|word| word.value.clone()).unwrap_or_default();
                // these are put into today's words; the module's own row shows that they still load it
                let replaced = matches!(program.rsplit('/').next(), Some("modprobe" | "insmod" | "rmmod"));
                programs.extend((!replaced).then_some(program));
            }
        }
    }
    programs
}

fn members(plan: &Plan, kernel: &Kernel, kind: ListKind, list: &str) -> Expected {
    let mut all = Vec::new();
    for member in plan.meaning.members(kind, list) {
        match plan.meaning.resolve(&member.text).end {
            End::Module(module) => match modules::today(&module, Some(kernel)) {
                Today::Module { name, .. } | Today::Builtin { name } => all.push(name),
                _ => {}
            },
            End::Off if kind == ListKind::Probe => break,
            _ => {}
        }
    }
    let has_off =
        plan.meaning.members(kind, list).iter().any(|m| plan.meaning.resolve(&m.text).end == End::Off);
    if all.is_empty() && !has_off {
        Expected::Gone("none of its modules".to_owned())
    } else {
        Expected::Members { all }
    }
}

type Judgement = (Verdict, String, String);

fn judge(
    expected: &Expected,
    kernel: &Kernel,
    modprobe: &Modprobe,
    request: &str,
) -> Result<Judgement, String> {
    let steps = modprobe.steps(request)?;
    let now = shown(&steps);
    let verdict = |verdict, why: String| Ok((verdict, now.clone(), why));
    match expected {
        Expected::Open => return verdict(Verdict::Open, "its lines need a person first".to_owned()),
        Expected::Gone(_) => return verdict(Verdict::Gone, String::new()),
        _ => {}
    }
    let answer = modprobe.resolve(request)?;
    if !answer.complaints.is_empty() || !answer.success {
        return verdict(Verdict::Different, format!("modprobe -R: {}", answer.complaints.trim()));
    }
    if let Some(dead) = answer.lines.iter().find(|name| !is_there(kernel, modprobe, name)) {
        return verdict(
            Verdict::Different,
            format!("{dead} is neither a module nor built in nor an install line"),
        );
    }
    match expected {
        Expected::Off => match &steps[..] {
            [Step::Install(command)] if command == "/bin/true" || command == "/bin/false" => {
                verdict(Verdict::Off, String::new())
            }
            _ => verdict(Verdict::Different, "something is loaded".to_owned()),
        },
        Expected::Members { all } => {
            let text = now.clone();
            match all.iter().find(|name| !text.contains(name.as_str())) {
                Some(missing) => verdict(Verdict::Different, format!("{missing} is not tried")),
                None => verdict(Verdict::Same, String::new()),
            }
        }
        Expected::Module { today, options, commands } => {
            match module_differs(today, options, commands, &steps, kernel, &answer.lines) {
                Some(why) => verdict(Verdict::Different, why),
                None => verdict(Verdict::Same, String::new()),
            }
        }
        Expected::Open | Expected::Gone(_) => unreachable!("answered above"),
    }
}

/// Whether a name that `-R` gave is real: in the kernel's index, or an install line.
fn is_there(kernel: &Kernel, modprobe: &Modprobe, name: &str) -> bool {
    kernel.has_module(name)
        || kernel.is_builtin(name)
        || modprobe.steps(name).is_ok_and(|steps| steps.iter().any(|step| matches!(step, Step::Install(_))))
}

fn module_differs(
    today: &str,
    options: &[Given],
    commands: &[String],
    steps: &[Step],
    kernel: &Kernel,
    resolved: &[String],
) -> Option<String> {
    if kernel.is_builtin(today) {
        let found = resolved.iter().any(|name| *name == canonical(today));
        return (!found).then(|| format!("it gives {}", resolved.join(" ")));
    }
    let wanted = values(options.iter().map(|word| word.text.clone()));
    match steps.iter().rev().find(|step| !matches!(step, Step::Builtin(_)))? {
        Step::Install(command) => {
            let runs = |program: &String| command.contains(program.as_str());
            if let Some(program) = commands.iter().find(|program| !runs(program)) {
                return Some(format!("{program} is not run any more"));
            }
            let replaced = commands.is_empty();
            (!command.contains(today) && !replaced && !command.contains("--ignore-install"))
                .then(|| format!("{today} is not loaded by it"))
        }
        Step::Insmod { .. } if !commands.is_empty() => Some(format!("{} is not run any more", commands[0])),
        _ => {
            let insmod = steps.iter().find_map(|step| match step {
                Step::Insmod { module, options } if *module == canonical(today) => Some(options),
                _ => None,
            });
            let Some(given) = insmod else { return Some(format!("{today} is not loaded by it")) };
            let given = values(split_options(given));
            (given != wanted).then(|| format!("options {given:?} instead of {wanted:?}"))
        }
    }
}

/// Parameters and the values that count: of several, the last.
fn values(words: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    words
        .into_iter()
        .map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            (canonical(key), value.trim_matches('"').to_owned())
        })
        .collect()
}

/// Words of an insmod line, as the kernel splits them.
fn split_options(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        quoted ^= character == '"';
        match character {
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("never empty").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn shown(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Insmod { module, options } if options.is_empty() => module.clone(),
        Step::Insmod { module, options } => format!("{module} {options}"),
        Step::Install(command) => format!("runs {command}"),
        Step::Builtin(module) => format!("{module} (built in)"),
    };
    match steps.last() {
        Some(last) => step(last),
        None => "nothing".to_owned(),
    }
}

/// Names in modules-load.d must be loadable.
fn boot_rows(plan: &Plan, modprobe: &Modprobe) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let file = plan.files.iter().find(|file| file.path == crate::emit::daemon::MODULES_LOAD);
    for line in file.iter().flat_map(|file| &file.lines).filter(|line| !line.text.starts_with('#')) {
        let steps = modprobe.steps(&line.text)?;
        let verdict = if steps.is_empty() { Verdict::Different } else { Verdict::Same };
        let why = if steps.is_empty() { "cannot be loaded".to_owned() } else { String::new() };
        rows.push(Row {
            name: line.text.clone(),
            then: "loaded at boot".to_owned(),
            request: line.text.clone(),
            now: shown(&steps),
            verdict,
            why,
        });
    }
    Ok(rows)
}
