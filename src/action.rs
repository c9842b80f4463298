//! What the executor may be asked to do, and the helper that does it. Pure.
#![forbid(unsafe_code)]

use crate::policy::{ModuleName, Refusal};
use kerneld_compat::request::{Command, ReplyTo};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that the intake can ask of the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Load a module or what an alias stands for.
    Load(ModuleName),
    /// Unload a module.
    Unload(ModuleName),
    /// Act on kdstat's words and tell the state.
    Status(String),
    /// A command that nobody serves: logged, status 1.
    Unknown(Command),
}

/// An accepted request on its way from the intake to the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where the answer goes.
    pub reply: ReplyTo,
    /// What to do; or why not, for the answer and the log.
    pub verdict: Result<Action, Refusal>,
}

/// What the intake says to the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromIntake {
    /// The first word: connected, not locked in yet.
    Hello,
    /// Locked in, about to read the queue.
    Ready,
    /// A request.
    Order(Order),
}

/// What runs a helper: equal tasks share one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Load a module.
    Load(ModuleName),
    /// Unload a module.
    Unload(ModuleName),
}

impl Task {
    /// The command that asks for it.
    pub fn command(&self) -> Command {
        match self {
            Task::Load(_) => Command::RequestModule,
            Task::Unload(_) => Command::ReleaseModule,
        }
    }

    /// The request's text.
    pub fn text(&self) -> &str {
        match self {
            Task::Load(name) | Task::Unload(name) => name.as_str(),
        }
    }

    /// The helper, as the kernel's `call_modprobe` would run it; `-r` added to unload. `trigger` is
    /// the pid that the request carries, which kerneld passed in `KERNELD_TRIGGER`.
    pub fn helper(&self, modprobe: &Path, trigger: Option<i16>) -> Helper {
        let mut args = vec!["-q"];
        if matches!(self, Task::Unload(_)) {
            args.push("-r");
        }
        args.extend(["--", self.text()]);
        Helper { path: modprobe.to_owned(), args: args.into_iter().map(str::to_owned).collect(), trigger }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.command(), self.text())
    }
}

/// A program to execve, with nothing inherited but what is written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The program, also its argv[0].
    pub path: PathBuf,
    /// The arguments after argv[0].
    pub args: Vec<String>,
    /// What `KERNELD_TRIGGER` is set to, if at all.
    pub trigger: Option<i16>,
}

impl Helper {
    /// The environment that the kernel gives its helpers (`call_modprobe`, Linux 2.4 to today), and
    /// `KERNELD_TRIGGER`.
    pub fn env(&self) -> impl Iterator<Item = (&'static str, String)> {
        [("HOME", "/"), ("TERM", "linux"), ("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")]
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .chain(self.trigger.map(|pid| ("KERNELD_TRIGGER", pid.to_string())))
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.args.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argv_and_environment_are_kmods() {
        let name = ModuleName::new(b"ppp").unwrap();
        let load = Task::Load(name.clone()).helper(Path::new("/sbin/modprobe"), None);
        assert_eq!(load.args, ["-q", "--", "ppp"]);
        assert_eq!(load.env().count(), 3);
        let unload = Task::Unload(name).helper(Path::new("/sbin/modprobe"), Some(-2));
        assert_eq!(unload.args, ["-q", "-r", "--", "ppp"]);
        assert!(unload.env().any(|pair| pair == ("KERNELD_TRIGGER", "-2".to_owned())));
    }
}
