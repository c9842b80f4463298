//! What the executor may be asked to do, and the helper that does it. Pure.
#![forbid(unsafe_code)]

use crate::policy::{ModuleName, Refusal};
use kerneld_protocol::request::{Command, ReplyTo};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the intake can ask of the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Load a module or what an alias stands for.
    Load(ModuleName),
    /// Unload a module.
    Unload(ModuleName),
    /// Unload a module after the delay.
    UnloadLater(ModuleName),
    /// Forget what [`Action::UnloadLater`] asked for this module.
    CancelUnload(ModuleName),
    /// Set up a route.
    Route(IpAddr),
    /// Screen blanker on (true) or off.
    Blanker(bool),
    /// Run a command, if the configuration lists this very text.
    System(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Tell a persistent setting.
    GetPersist(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Keep a persistent setting.
    SetPersist(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Act on kdstat's words and tell the state.
    Status(String),
    /// A command that nobody serves: logged, status 1.
    Unknown(Command),
}

/// A request on its way from the intake to the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where the answer goes.
    pub reply: ReplyTo,
    /// The request's number.
    pub command: Command,
    /// The request's text, for the journal.
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
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
    /// Set up a route.
    Route(IpAddr),
    /// Blank the screen, until told to stop.
    Blanker,
    /// Run the configured command of this text; the number keeps equal ones apart.
    System(String, u64),
}

impl Task {
    /// The command that asks for it.
    pub fn command(&self) -> Command {
        match self {
            Task::Load(_) => Command::RequestModule,
            Task::Unload(_) => Command::ReleaseModule,
            Task::Route(_) => Command::RequestRoute,
            Task::Blanker => Command::ScreenBlanker,
            Task::System(..) => Command::System,
        }
    }

    /// The request's text.
    pub fn text(&self) -> String {
        match self {
            Task::Load(name) | Task::Unload(name) => name.to_string(),
            Task::Route(address) => address.to_string(),
            Task::Blanker => "on".to_owned(),
            Task::System(text, _) => text.clone(),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.command(), self.text().escape_debug())
    }
}

/// modprobe's arguments as the kernel's `call_modprobe` gives them; `-r` added to unload.
pub fn modprobe_args(name: &ModuleName, unload: bool) -> Vec<String> {
    let remove = unload.then_some("-r");
    ["-q"].into_iter().chain(remove).chain(["--", name.as_str()]).map(str::to_owned).collect()
}

/// A program to execve, with nothing inherited but what is written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The program, also its argv[0].
    pub path: PathBuf,
    /// The arguments after argv[0].
    pub args: Vec<String>,
    /// What `KERNELD_TRIGGER` is set to, if at all: the pid that the request carries.
    pub trigger: Option<i16>,
    /// What is to be watched while it runs.
    pub watch: Watch,
}

/// How a helper is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Only waited for, like the kernel's own.
    Nothing,
    /// It may be signalled, and is killed after this time if one is given.
    Limit(Option<Duration>),
    /// The same, and what it prints is the answer's text.
    Output(Duration),
}

impl Helper {
    /// argv, as it is written down.
    pub fn argv(&self) -> impl Iterator<Item = &OsStr> {
        [self.path.as_os_str()].into_iter().chain(self.args.iter().map(OsStr::new))
    }

    /// The environment that the kernel gives its helpers (`call_modprobe`, Linux 2.4 to today), and
    /// `KERNELD_TRIGGER`.
    pub fn env(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        [("HOME", "/"), ("TERM", "linux"), ("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")]
            .into_iter()
            .map(|(name, value)| (name, Cow::Borrowed(value)))
            .chain(self.trigger.map(|pid| ("KERNELD_TRIGGER", pid.to_string().into())))
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
    fn arguments_and_environment_are_kmods() {
        let name = ModuleName::new(b"ppp").unwrap();
        assert_eq!(modprobe_args(&name, false), ["-q", "--", "ppp"]);
        assert_eq!(modprobe_args(&name, true), ["-q", "-r", "--", "ppp"]);
        let helper = |trigger| Helper { path: "/x".into(), args: vec![], trigger, watch: Watch::Nothing };
        assert_eq!(helper(None).env().count(), 3);
        assert!(helper(Some(-2)).env().any(|pair| pair == ("KERNELD_TRIGGER", "-2".into())));
    }
}
