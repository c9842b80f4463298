//! The real modprobe, asked questions only: `-R` (which module?) and `-D` (what would be run?). It loads nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

use crate::module_index::Kernel;
use crate::names::canonical;
use crate::old::bytes::{from_bytes, to_bytes};

/// modprobe with a configuration directory and a kernel of our choice.
#[derive(Debug)]
pub struct Modprobe<'a> {
    /// The kernel whose index it reads.
    pub kernel: &'a Kernel,
    /// The only configuration that it reads.
    pub configuration: &'a Path,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Standard output, line by line.
    pub lines: Vec<String>,
    /// Standard error.
    pub complaints: String,
    /// Whether it ended with status 0.
    pub success: bool,
}

/// What modprobe would do for a name, by `-D`.
#[allow(missing_docs)] // the variants say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Insert this module with these options.
    Insmod { module: String, options: String },
    /// Run this command.
    Install(String),
    /// Nothing: it is built in.
    Builtin(String),
}

impl Modprobe<'_> {
    /// Runs modprobe with these arguments.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer, String> {
        let output = Command::new("modprobe")
            .arg("-d")
            .arg(&self.kernel.base)
            .arg("-S")
            .arg(&self.kernel.release)
            .arg("-C")
            .arg(self.configuration)
            .args(arguments.iter().map(|argument| OsString::from_vec(to_bytes(argument))))
            .env_clear()
            .env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
            .output()
            .map_err(|error| format!("modprobe cannot be run: {error}"))?;
        Ok(Answer {
            lines: from_bytes(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect(),
            complaints: from_bytes(&output.stderr),
            success: output.status.success(),
        })
    }

    /// The names that a request resolves to (canonical), as `-R` says.
    pub fn resolve(&self, name: &str) -> Result<Answer, String> {
        let mut answer = self.ask(&["-R", "--", name])?;
        answer.lines = answer.lines.iter().map(|line| canonical(line)).collect();
        Ok(answer)
    }

    /// What would be done for a request, dependencies first.
    pub fn steps(&self, name: &str) -> Result<Vec<Step>, String> {
        let answer = self.ask(&["-q", "-D", "--", name])?;
        Ok(answer.lines.iter().filter_map(|line| step(line)).collect())
    }
}

fn step(line: &str) -> Option<Step> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "install" => Some(Step::Install(rest.to_owned())),
        "builtin" => Some(Step::Builtin(canonical(rest))),
        "insmod" => {
            let (path, options) = rest.split_once(' ').unwrap_or((rest, ""));
            let file = path.rsplit('/').next().unwrap_or(path);
            let module = canonical(file.split(".ko").next().unwrap_or(file));
            Some(Step::Insmod { module, options: options.to_owned() })
        }
        _ => None,
    }
}
