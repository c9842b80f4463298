//! When modules that came in through kerneld are unloaded again: once nothing has used them for a while. This
//! file is the rule, and pure; `arrivals` finds out what came in, `store` remembers it and sweeps.
//!
//! The rule is that of Linux 2.0 to 2.4 (`delete_module(NULL)`, `kernel/module.c`), which kept the marks
//! "autoclean" and "visited" for each module. Today's kernels keep neither, so the daemon does.
#![forbid(unsafe_code)]

use crate::modules::kernel::Modules;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A module that came in through us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ours {
    /// [`crate::modules::kernel::Kernel::identity`] as it came in.
    pub(crate) identity: u64,
    /// Nothing used it at the last sweep.
    pub(crate) idle: bool,
}

/// Modules that came in through us, by name.
pub(crate) type OurModules = BTreeMap<String, Ours>;

/// What the kernel shows at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// What is loaded.
    pub(crate) loaded: Modules,
    /// [`crate::modules::kernel::Kernel::network_drivers`].
    pub(crate) drivers: BTreeSet<String>,
}

/// What a sweep did with our modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Unloaded, in that order.
    pub(crate) gone: Vec<String>,
    /// Unused; they go at the next sweep if they still are.
    pub(crate) idle: Vec<String>,
    /// Those that stay.
    pub(crate) kept: Vec<(String, Why)>,
}

impl fmt::Display for Swept {
    /// A line for each module.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gone.iter().try_for_each(|name| writeln!(f, "{name}: unloaded"))?;
        self.idle
            .iter()
            .try_for_each(|name| writeln!(f, "{name}: unused, goes at the next sweep if it still is"))?;
        self.kept.iter().try_for_each(|(name, why)| writeln!(f, "{name}: stays, {why}"))
    }
}

/// Why a module of ours stays at a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is being loaded or unloaded.
    NotReady,
    /// A network interface that it drives is up.
    Interface,
    /// In use this often by something other than modules.
    InUse(i32),
    /// These modules use it.
    UsedBy(Vec<String>),
    /// The kernel would not let it go.
    Refused(nix::Error),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NotReady => f.write_str("being loaded or unloaded"),
            Why::Interface => f.write_str("its network interface is up"),
            Why::InUse(count) => write!(f, "in use (count {count})"),
            Why::UsedBy(users) => write!(f, "used by {}", users.join(", ")),
            Why::Refused(errno) => write!(f, "the kernel refuses: {}", errno.desc()),
        }
    }
}

impl View {
    /// Why module `name` is needed, apart from the modules that use it; `None` if it is not needed or not loaded.
    fn need(&self, name: &str) -> Option<Why> {
        let module = self.loaded.get(name)?;
        let others = module.references - i32::try_from(module.users.len()).unwrap_or(i32::MAX);
        match () {
            () if !module.live => Some(Why::NotReady),
            () if self.drivers.contains(name) => Some(Why::Interface),
            () if others != 0 => Some(Why::InUse(others)),
            () => None,
        }
    }

    /// The modules that use module `name`.
    fn users(&self, name: &str) -> &[String] {
        self.loaded.get(name).map_or(&[], |module| &module.users)
    }
}

/// Of `ours`, those that are loaded and needed by nothing but others of the same kind: unused, or used
/// only by modules that are themselves to go.
pub(crate) fn unused(ours: &OurModules, view: &View) -> BTreeSet<String> {
    let free = |name: &&String| view.loaded.contains_key(*name) && view.need(name).is_none();
    let mut unused: BTreeSet<String> = ours.keys().filter(free).cloned().collect();
    loop {
        let goes = |name: &&String| view.users(name).iter().all(|user| unused.contains(user));
        let fewer: BTreeSet<String> = unused.iter().filter(goes).cloned().collect();
        if fewer.len() == unused.len() {
            return unused;
        }
        unused = fewer;
    }
}

/// Of `ours`, those to unload now: found idle at the last sweep, idle still, and used by no module. Once
/// they are gone, others may be due in the same sweep.
pub(crate) fn due(ours: &OurModules, view: &View) -> Vec<String> {
    let due = |name: &String| ours[name].idle && view.users(name).is_empty();
    unused(ours, view).into_iter().filter(due).collect()
}

/// Ends a sweep: marks what of `ours` is idle, for the next sweep, and says what became of each.
pub(crate) fn mark(
    ours: &mut OurModules,
    view: &View,
    gone: Vec<String>,
    refused: &BTreeMap<String, nix::Error>,
) -> Swept {
    let mut swept = Swept { gone, ..Swept::default() };
    let unused = unused(ours, view);
    for (name, our) in ours {
        our.idle = false;
        if let Some(errno) = refused.get(name) {
            swept.kept.push((name.clone(), Why::Refused(*errno)));
        } else if unused.contains(name) {
            our.idle = true;
            swept.idle.push(name.clone());
        } else {
            let why = view.need(name).unwrap_or_else(|| Why::UsedBy(view.users(name).to_vec()));
            swept.kept.push((name.clone(), why));
        }
    }
    swept
}

#[cfg(test)]
#[path = "autoclean_tests.rs"]
mod tests;
