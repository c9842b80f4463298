//! Remembers which modules came in through us, in `autoclean.json` of the state directory, and sweeps.
//! The daemon and `kerneld autoclean` share the file: each reads, changes and replaces it under a lock.
#![forbid(unsafe_code)]

use super::arrivals::Arrivals;
use super::autoclean::{OurModules, Ours, Swept, View, due, mark};
use crate::helper::modprobe::modules_disabled;
use crate::modules::kernel::{Kernel, unload};
use caps::{CapSet, Capability};
use kerneld_persist::replace::Turn;
use log::warn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const FILE: &str = "autoclean.json";

/// The state file's content. That of another boot counts as empty, for modules do not outlive a boot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    boot_id: String,
    modules: OurModules,
}

/// One sweep, for the command line, of what the daemon of `state_dir` brought in.
///
/// # Errors
/// When this process may not unload modules, and as [`Store::sweep`].
pub(crate) fn once(state_dir: &Path) -> Result<Swept, String> {
    if modules_disabled() {
        return Err("kernel.modules_disabled is 1: no module can be unloaded before the next boot".to_owned());
    }
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_MODULE).unwrap_or(false) {
        return Err(
            "unloading modules needs root's CAP_SYS_MODULE, which this process does not have".to_owned()
        );
    }
    Store::open(state_dir, Kernel::default()).sweep(&mut unload)
}

/// The memory of what came in through us.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    kernel: Kernel,
}

impl Store {
    /// The store in `state_dir`, of modules of `kernel`. Touches nothing yet.
    pub(crate) fn open(state_dir: &Path, kernel: Kernel) -> Self {
        Store { dir: state_dir.to_owned(), kernel }
    }

    /// Whose modules these are.
    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Whether there is nothing of ours to sweep.
    ///
    /// # Errors
    /// When the state file or the kernel's boot id cannot be read.
    pub(crate) fn is_empty(&self) -> Result<bool, String> {
        Ok(self.read()?.modules.is_empty())
    }

    /// Takes in what came in through us.
    ///
    /// # Errors
    /// When the state file cannot be read or replaced.
    pub(crate) fn adopt(&self, arrivals: Arrivals) -> Result<(), String> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let turn = self.lock()?;
        let mut state = self.read()?;
        let fresh = |(name, identity)| (name, Ours { identity, idle: false });
        state.modules.extend(arrivals.into_iter().map(fresh));
        self.replace(&turn, &state)
    }

    /// One sweep: `unload` is called for each module that goes, in an order that the kernel accepts. A
    /// module that was unloaded since, and perhaps loaded again by hand, is no longer ours.
    ///
    /// # Errors
    /// When the kernel or the state file cannot be read, or the file cannot be replaced. What `unload`
    /// cannot do is reported in the result.
    pub(crate) fn sweep(&self, unload: &mut dyn FnMut(&str) -> nix::Result<()>) -> Result<Swept, String> {
        if self.is_empty()? {
            return Ok(Swept::default());
        }
        let turn = self.lock()?;
        let mut state = self.read()?;
        let mut gone = Vec::new();
        let mut refused = BTreeMap::new();
        let view = loop {
            let view = self.look(&mut state.modules)?;
            let before = gone.len();
            for name in due(&state.modules, &view) {
                match unload(&name) {
                    Ok(()) => gone.push(name),
                    Err(errno) => drop(refused.insert(name, errno)),
                }
            }
            state.modules.retain(|name, _| !gone.contains(name));
            // One that is refused is not idle, so that it is not tried again at once.
            state.modules.iter_mut().for_each(|(name, our)| our.idle &= !refused.contains_key(name));
            if gone.len() == before {
                break view;
            }
        };
        let swept = mark(&mut state.modules, &view, gone, &refused);
        self.replace(&turn, &state)?;
        Ok(swept)
    }

    /// What is loaded now; what is ours no longer is dropped from `ours`.
    fn look(&self, ours: &mut OurModules) -> Result<View, String> {
        let loaded = self.kernel.loaded().map_err(|error| error.to_string())?;
        let same = |name: &str, our: &Ours| self.kernel.identity(name) == Some(our.identity);
        ours.retain(|name, our| loaded.contains_key(name) && same(name, our));
        let drivers = self.kernel.network_drivers(&loaded);
        Ok(View { loaded, drivers })
    }

    /// Held until dropped.
    fn lock(&self) -> Result<Turn, String> {
        let path = self.dir.join(FILE);
        Turn::wait(&path).map_err(|error| format!("cannot lock {}: {error}", path.display()))
    }

    fn read(&self) -> Result<State, String> {
        let boot_id = self.kernel.boot_id().map_err(|error| error.to_string())?;
        let path = self.dir.join(FILE);
        let modules = match fs::read(&path) {
            Ok(text) => of_boot(&boot_id, &text, &path),
            Err(error) if error.kind() == ErrorKind::NotFound => OurModules::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        Ok(State { boot_id, modules })
    }

    fn replace(&self, turn: &Turn, state: &State) -> Result<(), String> {
        let written = serde_json::to_vec(state).map_err(io::Error::from).and_then(|text| turn.write(&text));
        written.map_err(|error| format!("cannot write {}: {error}", self.dir.join(FILE).display()))
    }
}

fn of_boot(boot_id: &str, text: &[u8], path: &Path) -> OurModules {
    match serde_json::from_slice::<State>(text) {
        Ok(state) if state.boot_id == boot_id => state.modules,
        Ok(_) => OurModules::new(),
        Err(error) => {
            let aside = path.with_extension("broken");
            let kept = fs::rename(path, &aside)
                .map_or_else(|error| error.to_string(), |()| aside.display().to_string());
            warn!("{} is broken ({error}): the modules it names stay loaded (kept: {kept})", path.display());
            OurModules::new()
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
