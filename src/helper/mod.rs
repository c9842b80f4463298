//! Helpers: the programs that the executor runs, and everything that knows how modprobe is called.
#![forbid(unsafe_code)]

pub(crate) mod clone;
pub(crate) mod cpus;
pub(crate) mod ends;
pub(crate) mod modprobe;
pub(crate) mod running;
pub(crate) mod survivors;
pub(crate) mod watched;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A program to execve, with nothing inherited but what is written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Helper {
    /// The program, also its `argv[0]`.
    pub(crate) path: PathBuf,
    /// The arguments after `argv[0]`.
    pub(crate) args: Vec<String>,
    /// What `KERNELD_TRIGGER` is set to, if at all: the pid that the request carries.
    pub(crate) trigger: Option<i16>,
    /// What is to be watched while it runs.
    pub(crate) watch: Watch,
}

/// How a helper is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Only waited for, like the kernel's own.
    Nothing,
    /// It may be signalled, and is killed after this time if one is given.
    Limit(Option<Duration>),
    /// The same, and what it prints is the answer's text.
    Output(Duration),
}

impl Helper {
    /// argv, as it is written down.
    pub(crate) fn argv(&self) -> impl Iterator<Item = &OsStr> {
        [self.path.as_os_str()].into_iter().chain(self.args.iter().map(OsStr::new))
    }

    /// The environment that the kernel gives its helpers (`call_modprobe`, Linux 2.4 to today), and
    /// `KERNELD_TRIGGER`.
    pub(crate) fn env(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
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
    fn the_environment_is_the_kernels() {
        let helper = |trigger| Helper { path: "/x".into(), args: vec![], trigger, watch: Watch::Nothing };
        assert_eq!(helper(None).env().count(), 3);
        assert!(helper(Some(-2)).env().any(|pair| pair == ("KERNELD_TRIGGER", "-2".into())));
    }
}
