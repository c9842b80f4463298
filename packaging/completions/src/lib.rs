//! The programs' arguments, and the completions made of them.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use clap::{Arg, Command};
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
    let name = program.get_name();
    let mut text = Vec::new();
    generate(shell, &mut without_hidden(program), name, &mut text);
    (file_name(name, shell), text)
}

fn file_name(program: &str, shell: Shell) -> String {
    match shell {
        Shell::Zsh => format!("_{program}"),
        other => format!("{program}.{other}"),
    }
}

/// What is not meant to be called by hand is not to be completed either.
fn without_hidden(program: &Command) -> Command {
    let below = shown_subcommands(program).map(without_hidden);
    let mut copy =
        Command::new(lasting(program.get_name())).args(shown_arguments(program).cloned()).subcommands(below);
    copy = copy.disable_help_subcommand(program.is_disable_help_subcommand_set());
    if let Some(about) = program.get_about() {
        copy = copy.about(about.clone());
    }
    copy.version(program.get_version().map(lasting))
}

fn shown_arguments(program: &Command) -> impl Iterator<Item = &Arg> {
    program.get_arguments().filter(|argument| !argument.is_hide_set())
}

fn shown_subcommands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set())
}

/// clap keeps names for the whole life of a program; ours is short.
fn lasting(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

/// Every option of `program` and of its subcommands that people see, `--help` and `--version` apart; by its long form,
/// where it has one.
#[must_use]
pub fn options(program: &Command) -> BTreeSet<String> {
    let own = shown_arguments(program).filter_map(option_name);
    let all = own.chain(shown_subcommands(program).flat_map(options));
    all.filter(|name| !matches!(&name[..], "--help" | "--version")).collect()
}

fn option_name(argument: &Arg) -> Option<String> {
    let long = argument.get_long().map(|long| format!("--{long}"));
    long.or_else(|| argument.get_short().map(|short| format!("-{short}")))
}
