//! The real modprobe, asked questions only: `-R` (which module?) and `-D` (what would be run?). It loads nothing.

use kerneld_kmod::{Step, underscored};

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::module_index::Kernel;
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

impl Modprobe<'_> {
    /// Runs modprobe with these arguments.
    ///
    /// # Errors
    /// When modprobe cannot be run.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer> {
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
            .map_err(|why| Error::Modprobe { why })?;
        Ok(Answer {
            lines: from_bytes(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect(),
            complaints: from_bytes(&output.stderr),
            success: output.status.success(),
        })
    }

    /// The names that a request resolves to (underscored), as `-R` says.
    ///
    /// # Errors
    /// When modprobe cannot be run.
    pub fn resolve(&self, name: &str) -> Result<Answer> {
        let mut answer = self.ask(&["-R", "--", name])?;
        answer.lines = answer.lines.iter().map(|line| underscored(line)).collect();
        Ok(answer)
    }

    /// What would be done for a request, dependencies first.
    ///
    /// # Errors
    /// When modprobe cannot be run.
    pub fn steps(&self, name: &str) -> Result<Vec<Step>> {
        let answer = self.ask(&["-q", "-D", "--", name])?;
        Ok(answer.lines.iter().filter_map(|line| Step::read(line)).collect())
    }
}
