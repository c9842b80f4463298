//! What each name is expected to give, from the old configuration's meaning alone.

use crate::account::{Fate, Kind};
use crate::module_index::Kernel;
use crate::names::modules::{self, Today};
use crate::new::modprobe_d::words::{self, Owner};
use crate::old::modules_conf::{CommandKind, End, Given, ListKind};
use crate::plan::Plan;

/// What a name is expected to give.
pub enum Expected {
    /// Success and nothing loaded.
    Off,
    /// Nothing of ours.
    Gone(String),
    /// A person has to decide.
    Open,
    /// One module.
    Module(Load),
    /// The members of a probe or probeall.
    Members(Vec<String>),
}

/// What loading one module is expected to do.
#[derive(Default)]
pub struct Load {
    /// The module's name of today.
    pub today: String,
    /// Parameters, in today's names.
    pub options: Vec<Given>,
    /// Programs that old commands ran.
    pub commands: Vec<String>,
    /// Whether an `install` command takes the place of the load.
    pub replaced: bool,
    /// Modules to load before and after it.
    pub beside: Vec<String>,
}

impl Expected {
    /// What it did then, for a table.
    pub fn then(&self, old: &str) -> String {
        match self {
            Expected::Off => "off".to_owned(),
            Expected::Gone(why) => format!("{old} ({why})"),
            Expected::Open => old.to_owned(),
            Expected::Module(Load { options, commands, .. }) => {
                let options: String = options.iter().map(|word| format!(" {}", word.text)).collect();
                let commands = if commands.is_empty() {
                    String::new()
                } else {
                    format!(" + {} command(s)", commands.len())
                };
                format!("{old}{options}{commands}")
            }
            Expected::Members(all) => all.join(", "),
        }
    }
}

/// What a name of the old configuration is expected to give.
pub fn expected(plan: &Plan, kernel: &Kernel, name: &str) -> Expected {
    let resolved = plan.meaning.resolve(name);
    match &resolved.end {
        _ if name.starts_with('/') => Expected::Gone("devfs".to_owned()),
        _ if plan.meaning.is_for_nobody(name) => Expected::Gone("no kernel asks for it".to_owned()),
        End::Loop => Expected::Open,
        _ if is_open(plan, name) => Expected::Open,
        End::Off => Expected::Off,
        End::List(kind, list) => members(plan, kernel, *kind, list),
        End::Module(module) => module_load(plan, kernel, name, &resolved.chain, module),
    }
}

fn module_load(plan: &Plan, kernel: &Kernel, name: &str, chain: &[String], module: &str) -> Expected {
    match modules::today_for(name, module, Some(kernel)) {
        Today::Module { name: today, .. } => {
            let names: Vec<String> = chain.iter().cloned().chain([module.to_owned()]).collect();
            Expected::Module(load(plan, kernel, today, chain, &names))
        }
        Today::Builtin { name: today } => Expected::Module(Load { today, ..Load::default() }),
        Today::Gone { why } | Today::Absent { why, .. } => Expected::Gone(why),
        Today::External { .. } | Today::Unknown => Expected::Open,
    }
}

/// What goes with the load of the last of these names.
fn load(plan: &Plan, kernel: &Kernel, today: String, chain: &[String], names: &[String]) -> Load {
    let (meaning, module) = (&plan.meaning, &names[names.len() - 1]);
    let mut given = meaning.module_options(module);
    given.extend(meaning.alias_options(chain));
    given.retain(|word| !is_left_to_a_person(plan, word.line));
    let is_replaced = |name: &String| meaning.command_of(name, CommandKind::Install).is_some();
    Load {
        options: words::today(Owner { old: module, today: &today, kernel: Some(kernel) }, given).own,
        today,
        commands: load_commands(plan, names),
        replaced: names.iter().any(is_replaced),
        beside: beside(plan, kernel, names),
    }
}

/// Whether what a line means is not decided. Where the target's own lines stand against it, its meaning is clear.
fn is_left_to_a_person(plan: &Plan, line: usize) -> bool {
    let line = plan.account.line(line);
    line.fate == Some(Fate::NeedsAttention) && line.question != Some(Kind::Site)
}

/// A line of the name is left to a person.
fn is_open(plan: &Plan, name: &str) -> bool {
    let open = |line: usize| is_left_to_a_person(plan, line);
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

/// The modules that have to be loaded below and above these names, by their names of today.
fn beside(plan: &Plan, kernel: &Kernel, names: &[String]) -> Vec<String> {
    let meaning = &plan.meaning;
    let members = names.iter().flat_map(|name| {
        meaning.members(ListKind::Above, name).iter().chain(meaning.members(ListKind::Below, name))
    });
    members
        .filter_map(|member| match meaning.resolve(&member.text).end {
            End::Module(module) => match modules::today(&module, Some(kernel)) {
                Today::Module { name, .. } => Some(name),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// The programs that old commands ran when a name was loaded: what must still be in the install line.
fn load_commands(plan: &Plan, names: &[String]) -> Vec<String> {
    let kinds = [CommandKind::PreInstall, CommandKind::Install, CommandKind::PostInstall];
    let mut programs = Vec::new();
    for name in names {
        for command in kinds.iter().filter_map(|kind| plan.meaning.command_of(name, *kind)) {
            let parsed = crate::old::shell::parse(&command.text).unwrap_or_default();
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
        Expected::Members(all)
    }
}
