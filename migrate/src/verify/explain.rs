//! `explain NAME`: what modprobe NAME did then and does now, side by side.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use kerneld_kmod::Step;

use super::layout::lay_out;
use super::modprobe::Modprobe;
use crate::account::LineId;
use crate::error::{Error, Result};
use crate::names::requests;
use crate::old::bytes::for_display;
use crate::old::modules_conf::{CommandKind, End, ListKind};
use crate::plan::{Plan, Target};

/// The explanation as a table with two columns.
///
/// # Errors
/// When the plan is not for kmod, or modprobe cannot be run.
pub fn explain(plan: &Plan, name: &str) -> Result<String> {
    if plan.target != Target::Kmod {
        return Err(Error::usage("explain compares with kmod: use it with --target kmod"));
    }
    let then = then(plan, name);
    let now = now(plan, name)?;
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(100)
        .set_header([format!("modprobe {name}, then"), format!("modprobe {name}, now")])
        .add_row([then.join("\n"), now.join("\n")]);
    Ok(format!("{table}\n"))
}

fn then(plan: &Plan, name: &str) -> Vec<String> {
    let meaning = &plan.meaning;
    let resolved = meaning.resolve(name);
    let place = |line: LineId| plan.account.line(line).place();
    let mut out = Vec::new();
    for name in &resolved.chain {
        let (target, line) = meaning.target(name).expect("a name of the chain has a target");
        let origin = line.map_or("modutils' default".to_owned(), place);
        out.push(format!("{name} is an alias of {target} ({origin})"));
    }
    let mut names = resolved.chain.clone();
    match &resolved.end {
        End::Off => out.push("off: the request succeeds and nothing is loaded".to_owned()),
        End::Loop => out.push("the aliases lead back to themselves: modprobe gives up".to_owned()),
        End::List(kind, list) => {
            let members: Vec<_> =
                meaning.members(*kind, list).iter().map(|member| member.text.as_str()).collect();
            let rule =
                if *kind == ListKind::Probe { "the first that loads of" } else { "every one that loads of" };
            out.push(format!("{rule}: {}", members.join(" ")));
        }
        End::Module(module) => {
            if resolved.chain.is_empty() && !meaning.names.contains(module) {
                out.push("not in the configuration: modprobe looked for a module of this name".to_owned());
            }
            names.push(module.clone());
            steps(plan, &names, module, &mut out);
        }
    }
    out.iter().map(|line| for_display(line)).collect()
}

/// The steps of a load, in modutils' order.
fn steps(plan: &Plan, names: &[String], module: &str, out: &mut Vec<String>) {
    let meaning = &plan.meaning;
    let place = |line: LineId| plan.account.line(line).place();
    let list = |kind: ListKind, word: &str, out: &mut Vec<String>| {
        for member in names.iter().flat_map(|name| meaning.members(kind, name)) {
            out.push(format!("{word} {} ({})", member.text, place(member.line)));
        }
    };
    let commands = |kind: CommandKind, out: &mut Vec<String>| {
        let mut any = false;
        for command in names.iter().filter_map(|name| meaning.command_of(name, kind)) {
            out.push(format!("{}: {} ({})", kind.keyword(), command.text, place(command.line)));
            any = true;
        }
        any
    };
    list(ListKind::Below, "first loads", out);
    commands(CommandKind::PreInstall, out);
    if !commands(CommandKind::Install, out) {
        let mut words = meaning.module_options(module);
        words.extend(meaning.alias_options(&names[..names.len() - 1]));
        let options: String = words.iter().map(|word| format!(" {}", word.text)).collect();
        out.push(format!("insmod {module}{options}"));
    }
    commands(CommandKind::PostInstall, out);
    list(ListKind::Above, "then loads", out);
}

fn now(plan: &Plan, name: &str) -> Result<Vec<String>> {
    let request = requests::today(name);
    let mut out = Vec::new();
    if !request.note.is_empty() {
        out.push(request.note.clone());
    }
    let forms = plan.meaning.forms(name);
    if let Some(kernel) = &plan.kernel {
        let directory = tempfile::tempdir().map_err(|why| Error::write("a temporary folder", why))?;
        lay_out(plan, directory.path())?;
        let modprobe = Modprobe { kernel, configuration: directory.path() };
        for form in &forms {
            let asked = form.strip_suffix("-*").map_or(form.clone(), |stem| format!("{stem}-0"));
            out.push(format!("asked for as {form}:"));
            let steps = modprobe.steps(&asked)?;
            if steps.is_empty() {
                out.push("  not found: nothing is loaded".to_owned());
            }
            out.extend(steps.iter().map(|step| match step {
                Step::Insmod { module, options } => format!("  insmod {module} {options}"),
                Step::Install(command) => format!("  runs {command}"),
                Step::Builtin(module) => format!("  {module} is built in"),
            }));
        }
    } else {
        out.push(format!("asked for as {}", forms.join(", ")));
        out.push("(name a kernel with --kernel-root to see what modprobe answers)".to_owned());
    }
    let lines = plan.files.iter().flat_map(|file| file.lines.iter().map(move |line| (file, line)));
    for (file, line) in lines.filter(|(_, line)| speaks_of(plan, name, &line.from)) {
        out.push(format!("{}: {}", file.path, line.text));
    }
    Ok(out.iter().map(|line| for_display(line)).collect())
}

/// Whether one of these lines speaks of the name or of a name on its chain.
fn speaks_of(plan: &Plan, name: &str, lines: &[LineId]) -> bool {
    let mut names = plan.meaning.resolve(name).chain;
    names.push(name.to_owned());
    names.iter().any(|name| {
        let alias = plan.meaning.aliases.get(name).map(|alias| alias.line);
        let options = plan.meaning.options.get(name).map(|options| &options.lines[..]).unwrap_or_default();
        let commands = plan.meaning.commands.get(name).into_iter().flat_map(|commands| commands.values());
        let mut of_name =
            alias.into_iter().chain(options.iter().copied()).chain(commands.map(|command| command.line));
        of_name.any(|line| lines.contains(&line))
    })
}
