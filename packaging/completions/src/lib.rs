//! The programs' arguments, and the completions made of them.
#![forbid(unsafe_code)]

use clap::Command;
use clap_complete::Shell;
use clap_complete::aot::generate;

/// The shells that completions are made for.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Every program of the workspace that people call.
#[must_use]
pub fn programs() -> Vec<Command> {
    vec![
        kerneld::command(),
        kerneld_migrate::command(),
        kerneld_compare::cli::command(),
        kerneld_tools::kdsend::command(),
        kerneld_tools::kdstat::command(),
        kerneld_tools::admpersist::command(),
        kdrun::command(),
    ]
}

/// The file that completes `program` in `shell`: its name and its text.
#[must_use]
pub fn completion(program: &Command, shell: Shell) -> (String, Vec<u8>) {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    generate(shell, &mut without_hidden(program), &name, &mut text);
    let file = match shell {
        Shell::Zsh => format!("_{name}"),
        other => format!("{name}.{other}"),
    };
    (file, text)
}

/// What is not meant to be called by hand is not to be completed either.
fn without_hidden(program: &Command) -> Command {
    let kept = program.get_subcommands().filter(|command| !command.is_hide_set()).map(without_hidden);
    let shown = program.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let mut copy = Command::new(lasting(program.get_name())).args(shown).subcommands(kept);
    copy = copy.disable_help_subcommand(program.is_disable_help_subcommand_set());
    if let Some(about) = program.get_about() {
        copy = copy.about(about.clone());
    }
    match program.get_version() {
        Some(version) => copy.version(lasting(version)),
        None => copy,
    }
}

/// clap keeps names for the whole life of a program; ours is short.
fn lasting(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

/// Every long option of `program` and of its subcommands that people see, `--help` and `--version` apart, and short
/// ones that have no long form.
#[must_use]
pub fn options(program: &Command) -> Vec<String> {
    let shown = program.get_arguments().filter(|argument| !argument.is_hide_set());
    let own = shown.filter_map(|argument| match (argument.get_long(), argument.get_short()) {
        (Some(long), _) => Some(format!("--{long}")),
        (None, Some(short)) => Some(format!("-{short}")),
        (None, None) => None,
    });
    let below = program.get_subcommands().filter(|command| !command.is_hide_set()).flat_map(options);
    let mut all: Vec<String> =
        own.chain(below).filter(|name| !matches!(&name[..], "--help" | "--version")).collect();
    all.sort();
    all.dedup();
    all
}
