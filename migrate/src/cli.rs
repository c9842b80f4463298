//! The command line: arguments, and one function for each command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::apply::open_old_system;
use crate::apply::tree::write_tree;
use crate::error::{Error, Result};
use crate::new::output::OutputFile;
use crate::old::modules_conf::condition::State;
use crate::plan::{Plan, Request, Target};
use crate::report::fleet;
use crate::verify::explain;
use crate::{apply, legacy_names as legacy, report, verify};

/// Turns what an old system says to kerneld and modutils (conf.modules, modules.conf, start-up scripts) into
/// today's modprobe.d, modules-load.d and sysctl.d, and accounts for every line.
///
/// Nothing from the old configuration is ever run.
#[derive(Parser)]
#[command(version, name = "kerneld-migrate")]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Clone)]
struct Common {
    /// The old system's root directory
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
    root: PathBuf,
    /// The configuration file, as a path below the root [default: the one that modutils chooses]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<String>,
    /// Which kernels the result is for
    #[arg(long, value_enum, default_value_t, global = true)]
    target: Target,
    /// The kernel release that `uname -r` in the configuration stands for, and whose index is used
    #[arg(long, value_name = "RELEASE", global = true)]
    kernel: Option<String>,
    /// A directory that holds the target kernel's lib/modules/RELEASE [default: the root]
    #[arg(long, value_name = "DIR", global = true)]
    kernel_root: Option<PathBuf>,
    /// State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH
    /// or no-file:PATH
    #[arg(long, value_name = "FACT", global = true)]
    assume: Vec<String>,
    /// Write the new files below this directory instead of the root
    #[arg(long, value_name = "DIR", global = true)]
    output: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Html,
}

#[derive(Subcommand)]
enum Command {
    /// Show what would be written and what becomes of every line (the default); several roots give a summary
    Plan {
        /// Root directories, instead of --root
        roots: Vec<PathBuf>,
        /// Also show each new file as a difference, and what becomes of every line
        #[arg(long)]
        full: bool,
    },
    /// Write the new files, keeping the old ones for `undo`
    Apply {
        /// Go on although this line needs a person
        #[arg(long, value_name = "FILE:LINE", num_args = 1..)]
        accept: Vec<String>,
    },
    /// Put everything back as it was
    Undo {
        /// Also when a written file was changed since
        #[arg(long)]
        force: bool,
    },
    /// Ask the real modprobe whether every name still gives the same modules, options and commands
    Verify,
    /// Show what a name did then and does now, side by side
    Explain {
        /// A module or request name
        name: String,
    },
    /// Write aliases by which requests in old names find today's modules (--root and --kernel name the kernel)
    LegacyNames,
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Runs the program; 0: all is well, 1: something needs a person or differs, 2: it could not be done.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command.unwrap_or(Command::Plan { roots: Vec::new(), full: false }) {
        Command::Plan { roots, full } => plan(&arguments.common, roots, full),
        Command::Apply { accept } => apply(&arguments.common, &accept),
        Command::Undo { force } => undo(&arguments.common, force),
        Command::Verify => verify(&arguments.common),
        Command::Explain { name } => explain(&arguments.common, &name),
        Command::LegacyNames => legacy_names(&arguments.common),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("kerneld-migrate: {message}");
            ExitCode::from(2)
        }
    }
}

fn request(common: &Common) -> Result<Request> {
    let mut state = State::default();
    for fact in &common.assume {
        state.assume(fact)?;
    }
    Ok(Request {
        root: common.root.clone(),
        config: common.config.clone(),
        target: common.target,
        kernel: common.kernel.clone(),
        kernel_root: common.kernel_root.clone(),
        state,
    })
}

fn plan(common: &Common, roots: Vec<PathBuf>, full: bool) -> Result<bool> {
    let mut request = request(common)?;
    match &roots[..] {
        [] => {}
        [root] => request.root = root.clone(),
        roots => {
            let as_json = matches!(common.format, Format::Json);
            let (text, all) = fleet::plan(&request, roots, as_json, common.output.as_deref());
            return print(&text).map(|()| all);
        }
    }
    let plan = Plan::make(&request)?;
    if let Some(directory) = &common.output {
        write_tree(&plan.files, directory)?;
    }
    let text = match common.format {
        Format::Text => report::text::report(&plan, full),
        Format::Json => format!("{:#}\n", report::json::document(&plan)),
        Format::Html => report::html::page(&plan),
    };
    print(&text)?;
    Ok(true)
}

fn apply(common: &Common, accepted: &[String]) -> Result<bool> {
    let plan = Plan::make(&request(common)?)?;
    apply::check_accepted(&plan.account, accepted)?;
    let paths = match &common.output {
        Some(directory) => write_tree(&plan.files, directory)?,
        None => match plan.apply(&mut |_| {})? {
            apply::Outcome::Unchanged => {
                print("nothing to do: every file is in place\n")?;
                return Ok(true);
            }
            apply::Outcome::Changed(paths) => paths,
        },
    };
    print(&paths.iter().map(|path| format!("written: {path}\n")).collect::<String>())?;
    Ok(true)
}

fn undo(common: &Common, force: bool) -> Result<bool> {
    let told = match apply::undo(&open_old_system(&common.root)?, force, &mut |_| {})? {
        apply::Outcome::Unchanged => "nothing to undo\n".to_owned(),
        apply::Outcome::Changed(paths) => paths.iter().map(|path| format!("put back: {path}\n")).collect(),
    };
    print(&told)?;
    Ok(true)
}

fn verify(common: &Common) -> Result<bool> {
    let report = verify::verify(&Plan::make(&request(common)?)?)?;
    print(&match common.format {
        Format::Json => report.json() + "\n",
        _ => report.table(),
    })?;
    Ok(report.passed())
}

fn explain(common: &Common, name: &str) -> Result<bool> {
    print(&explain::explain(&Plan::make(&request(common)?)?, name)?)?;
    Ok(true)
}

fn legacy_names(common: &Common) -> Result<bool> {
    let file = legacy_names_file(common)?;
    match &common.output {
        Some(directory) => drop(write_tree(&[file], directory)?),
        None => print(&String::from_utf8_lossy(&file.content()))?,
    }
    Ok(true)
}

fn legacy_names_file(common: &Common) -> Result<OutputFile> {
    let root = common.kernel_root.as_ref().unwrap_or(&common.root);
    legacy::file(root, common.kernel.as_deref())
}

/// Prints. A closed pipe ends the printing and is not worth a panic.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Print { why }),
        _ => Ok(()),
    }
}
