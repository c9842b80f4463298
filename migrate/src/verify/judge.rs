//! The real modprobe's answers, held against what is expected.

use kerneld_kmod::{Step, underscored};

use std::collections::{BTreeMap, BTreeSet};

use super::expected::{Expected, Load};
use super::modprobe::Modprobe;
use super::verdict::Verdict;
use crate::error::Result;
use crate::site::Site;

/// Asks modprobe about requests.
pub struct Judge<'a> {
    modprobe: &'a Modprobe<'a>,
    /// What modprobe said on standard error when it read the configuration.
    pub complaints: String,
    /// The `options` lines, by module, as modprobe has read them.
    configured: BTreeMap<String, String>,
    /// Parameters that the target's own files give.
    of_site: BTreeSet<String>,
}

/// A verdict, what modprobe answers, and what differs.
pub type Judgement = (Verdict, String, String);

impl<'a> Judge<'a> {
    /// Has modprobe read its configuration once: ours, and the target's own.
    pub fn new(modprobe: &'a Modprobe<'a>, site: &Site) -> Result<Self> {
        let answer = modprobe.ask(&["-c"])?;
        let is_of_site = |line: &str| site.files.iter().any(|file| line.contains(&format!("/{}", file.name)));
        let complaints = answer.complaints.lines().filter(|line| !is_of_site(line));
        let complaints = complaints.map(|line| format!("{line}\n")).collect();
        let options = site.lines().filter(|line| line.text.starts_with("options "));
        let words =
            options.flat_map(|line| line.words().into_iter().skip(2).map(str::to_owned).collect::<Vec<_>>());
        let of_site = words.map(|word| underscored(word.split('=').next().unwrap_or_default())).collect();
        let mut configured: BTreeMap<String, String> = BTreeMap::new();
        for line in &answer.lines {
            if let Some((module, words)) = line.strip_prefix("options ").and_then(|line| line.split_once(' '))
            {
                let all = configured.entry(underscored(module)).or_default();
                all.push_str(words);
                all.push(' ');
            }
        }
        Ok(Judge { modprobe, complaints, configured, of_site })
    }

    /// Whether modprobe knows a name at all.
    pub fn answers(&self, request: &str) -> Result<bool> {
        self.modprobe.ask(&["-q", "-R", "--", request]).map(|answer| answer.success)
    }

    /// Judges one request.
    pub fn judge(&self, expected: &Expected, request: &str) -> Result<Judgement> {
        let steps = self.modprobe.steps(request)?;
        let (verdict, why) = match expected {
            Expected::Open => (Verdict::Open, Some("its lines need a person first".to_owned())),
            Expected::Gone(_) => (Verdict::Gone, self.left_behind(request, &steps)?),
            Expected::Off => (Verdict::Off, self.dead(request)?.or_else(|| loads_something(&steps))),
            Expected::Members(all) => (Verdict::Same, self.dead(request)?.or_else(|| untried(all, &steps))),
            Expected::Module(load) => {
                let other = self.other_module(&load.today, request)?;
                (Verdict::Same, self.dead(request)?.or_else(|| self.differs(load, &steps)).or(other))
            }
        };
        let agrees = why.is_none() || verdict == Verdict::Open;
        let verdict = if agrees { verdict } else { Verdict::Different };
        Ok((verdict, shown(&steps), why.unwrap_or_default()))
    }

    /// Whether `-R` fails, complains, or gives a name that does not exist.
    fn dead(&self, request: &str) -> Result<Option<String>> {
        let answer = self.modprobe.resolve(request)?;
        if !answer.complaints.is_empty() || !answer.success {
            return Ok(Some(format!("modprobe -R: {}", answer.complaints.trim())));
        }
        let kernel = self.modprobe.kernel;
        for name in &answer.lines {
            let installs = |steps: Vec<Step>| steps.iter().any(|step| matches!(step, Step::Install(_)));
            if !kernel.has_module(name) && !kernel.is_builtin(name) && !installs(self.modprobe.steps(name)?) {
                return Ok(Some(format!("{name} is neither a module nor built in nor an install line")));
            }
        }
        Ok(None)
    }

    /// A module that an alias of someone else's loads as well.
    fn other_module(&self, today: &str, request: &str) -> Result<Option<String>> {
        let kernel = self.modprobe.kernel;
        let is_other = |name: &String| kernel.has_module(name) && !kernel.loads_with(today, name);
        let other = self.modprobe.resolve(request)?.lines.into_iter().find(is_other);
        Ok(other.map(|name| format!("it leads to {name} as well")))
    }

    /// Whether a request for what is gone still leads to a name, and that name to nothing.
    fn left_behind(&self, request: &str, steps: &[Step]) -> Result<Option<String>> {
        let answer = self.modprobe.ask(&["-q", "-R", "--", request])?;
        let dead = steps.is_empty() && !answer.lines.is_empty();
        Ok(dead.then(|| format!("it still leads to {}", answer.lines.join(" "))))
    }

    fn differs(&self, load: &Load, steps: &[Step]) -> Option<String> {
        let today = underscored(&load.today);
        if self.modprobe.kernel.is_builtin(&today) {
            let found = steps.contains(&Step::Builtin(today.clone()));
            return (!found).then(|| format!("{today} is built in, and it gives {}", shown(steps)));
        }
        let commands = commands(steps);
        if let Some(program) = load.commands.iter().find(|program| !commands.contains(program.as_str())) {
            return Some(format!("{program} is not run any more"));
        }
        let there = |name: &str| mentions(&commands, name) || inserted(steps, name).is_some();
        if let Some(other) = load.beside.iter().find(|name| !there(name)) {
            return Some(format!("{other} is not loaded with it"));
        }
        let wanted = values(load.options.iter().map(|word| word.text.clone()));
        if let Some(why) = self.unknown_parameter(&today, &wanted) {
            return Some(why);
        }
        match inserted(steps, &today) {
            Some(given) => {
                let mut given = values(split_options(given));
                given.retain(|key, _| wanted.contains_key(key) || !self.of_site.contains(key));
                (given != wanted).then(|| format!("options {given:?} instead of {wanted:?}"))
            }
            None if load.replaced && !commands.is_empty() => None,
            None if !mentions(&commands, &today) => Some(format!("{today} is not loaded by it")),
            None => self.lacks(&today, &commands, &wanted),
        }
    }

    /// A parameter that the module of today does not have.
    fn unknown_parameter(&self, module: &str, wanted: &BTreeMap<String, String>) -> Option<String> {
        let parameters = self.modprobe.kernel.parameters(module)?;
        let unknown = wanted.keys().find(|key| !parameters.has(key))?;
        Some(format!("{module} has no parameter {unknown}: the kernel ignores it"))
    }

    /// A parameter that a load by a command does not get.
    fn lacks(&self, today: &str, commands: &str, wanted: &BTreeMap<String, String>) -> Option<String> {
        let own = self.configured.get(today).map(String::as_str).unwrap_or_default();
        let mut given = values(split_options(own));
        given.extend(values(split_options(commands)));
        let missing = wanted.iter().find(|(key, value)| given.get(*key) != Some(*value));
        missing.map(|(key, value)| format!("it is loaded without {key}={value}"))
    }
}

/// The commands among the steps, one a line.
fn commands(steps: &[Step]) -> String {
    let command = |step: &Step| match step {
        Step::Install(command) => Some(format!("{command}\n")),
        _ => None,
    };
    steps.iter().filter_map(command).collect()
}

/// The options with which a module is inserted, if it is.
fn inserted<'a>(steps: &'a [Step], name: &str) -> Option<&'a str> {
    steps.iter().find_map(|step| match step {
        Step::Insmod { module, options } if *module == underscored(name) => Some(options.as_str()),
        _ => None,
    })
}

fn mentions(commands: &str, name: &str) -> bool {
    underscored(commands).contains(&underscored(name))
}

fn loads_something(steps: &[Step]) -> Option<String> {
    match steps {
        [Step::Install(command)] if command == "/bin/true" || command == "/bin/false" => None,
        _ => Some(format!("it gives {}", shown(steps))),
    }
}

fn untried(all: &[String], steps: &[Step]) -> Option<String> {
    let text = underscored(&shown(steps));
    all.iter().find(|name| !text.contains(&underscored(name))).map(|name| format!("{name} is not tried"))
}

/// Parameters and the values that count: of several, the last.
fn values(words: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    words.into_iter().map(|word| key_and_value(&word)).collect()
}

fn key_and_value(word: &str) -> (String, String) {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    (underscored(key), value.trim_matches('"').to_owned())
}

/// Words of an insmod line, as the kernel splits them.
fn split_options(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        quoted ^= character == '"';
        match character {
            ' ' | '\n' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("never empty").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What modprobe would do, in short.
pub fn shown(steps: &[Step]) -> String {
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
