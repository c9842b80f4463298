//! Saved parameters: the values that a module's parameters and `/proc/sys` files had when it was unloaded are
//! put back when it is loaded again. This is what kmod's document (`Documentation/kmod.txt`, Linux 2.1.90
//! on) had in mind in place of kerneld's persistent storage: for each driver, and in a file.
//!
//! The file is TOML, with a table for each module and a line for each parameter; people may read and edit it.
#![forbid(unsafe_code)]

use crate::config::{Parameter, ParametersOf, line_number};
use crate::order::name::{ModuleName, underscored};
use kerneld_persist::replace::Turn;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a `charp` parameter without a text shows (`param_get_charp` by way of `%s`). Written back, it would
/// become a text of six letters.
const NO_TEXT: &str = "(null)";

/// Values by path; a trailing newline is not part of a value.
type Values = BTreeMap<String, String>;

/// [`Values`] by module.
type Saved = BTreeMap<String, Values>;

/// Which parameters of which modules are kept, and where. Modules that are not listed cost nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedParameters {
    /// What to keep of which module; in the names `-` and `_` are equal.
    pub(crate) listed: BTreeMap<ModuleName, ParametersOf>,
    /// Where the values are kept, `/var/lib/kerneld/drivers.toml` for root.
    pub(crate) file: PathBuf,
    /// Where `sys` and `proc` are: `/`.
    pub(crate) sysroot: PathBuf,
}

impl SavedParameters {
    /// Saves what may be lost when `name` is unloaded: the parameters of that module and of those it
    /// depends on, which `modprobe -r` unloads too when nothing else uses them. Of all listed modules when
    /// no module has that name, for it may be an alias of any.
    ///
    /// Returns a sentence for the log about each thing that could not be saved.
    pub(crate) fn save(&self, name: &str) -> Vec<String> {
        let name = underscored(name);
        let known = self.module(&name).exists();
        let mut complaints = Vec::new();
        let saved: Saved = self
            .listed_modules()
            .filter(|(module, _)| self.is_loaded(module) && (!known || self.may_go_with(module, &name)))
            .map(|(module, what)| {
                let values = self.read_all(&module, what, &mut complaints);
                (module, values)
            })
            .collect();
        if !saved.is_empty() {
            complaints.extend(self.keep(saved).err());
        }
        complaints
    }

    /// The listed modules that are not loaded now.
    pub(crate) fn absent(&self) -> Vec<String> {
        self.listed_modules().map(|(module, _)| module).filter(|module| !self.is_loaded(module)).collect()
    }

    /// [`SavedParameters::restore`] of those among `absent` that are loaded by now.
    pub(crate) fn restore_arrived(&self, absent: &[String]) -> Vec<String> {
        let arrived: Vec<&String> = absent.iter().filter(|module| self.is_loaded(module)).collect();
        self.restore(&arrived)
    }

    /// Puts back what was saved of `modules`, which have just been loaded. Only what differs is
    /// written, and only parameters that are still listed.
    ///
    /// Returns a sentence for the log about each parameter that could not be put back.
    pub(crate) fn restore<S: AsRef<str>>(&self, modules: &[S]) -> Vec<String> {
        let modules: Vec<String> = modules.iter().map(|module| underscored(module.as_ref())).collect();
        let listed: Vec<_> = self.listed_modules().filter(|(module, _)| modules.contains(module)).collect();
        if listed.is_empty() {
            return Vec::new();
        }
        match self.saved() {
            Ok(saved) => {
                listed.iter().flat_map(|(module, what)| self.put_back(module, what, &saved)).collect()
            }
            Err(complaint) => vec![complaint],
        }
    }

    fn listed_modules(&self) -> impl Iterator<Item = (String, &ParametersOf)> {
        self.listed.iter().map(|(module, what)| (underscored(module.as_str()), what))
    }

    /// Where sysfs shows a module.
    fn module(&self, name: &str) -> PathBuf {
        self.sysroot.join("sys/module").join(name)
    }

    /// Only a module that can be unloaded has this file; one that is built in does not.
    fn is_loaded(&self, module: &str) -> bool {
        self.module(module).join("initstate").exists()
    }

    /// Whether `module` is `other`, or used by it directly or through others.
    fn may_go_with(&self, module: &str, other: &str) -> bool {
        let holders = || names_in(&self.module(module).join("holders")).into_iter();
        module == other || holders().any(|holder| self.may_go_with(&holder, other))
    }

    /// The paths of a module's parameters in the running system, from its root.
    fn paths(&self, module: &str, what: &ParametersOf) -> Vec<String> {
        let parameters = format!("/sys/module/{module}/parameters");
        match what {
            ParametersOf::AllWritable => names_in(&self.in_sysroot(&parameters))
                .into_iter()
                .map(|name| format!("{parameters}/{name}"))
                .filter(|path| has_mode(&self.in_sysroot(path), 0o600))
                .collect(),
            ParametersOf::Listed(listed) => listed
                .iter()
                .map(|parameter| match parameter {
                    Parameter::OfModule(name) => format!("{parameters}/{name}"),
                    Parameter::ProcSys(path) => path.display().to_string(),
                })
                .collect(),
        }
    }

    fn in_sysroot(&self, path: &str) -> PathBuf {
        self.sysroot.join(path.trim_start_matches('/'))
    }

    fn read_all(&self, module: &str, what: &ParametersOf, complaints: &mut Vec<String>) -> Values {
        let mut values = Values::new();
        for path in self.paths(module, what) {
            match self.read(&path) {
                Ok(value) if value == NO_TEXT => {}
                Ok(value) => _ = values.insert(path, value),
                Err(error) => complaints.push(format!("{module}'s parameter {path} is not saved: {error}")),
            }
        }
        values
    }

    fn read(&self, path: &str) -> io::Result<String> {
        let mut value = fs::read_to_string(self.in_sysroot(path))?;
        if value.ends_with('\n') {
            value.pop();
        }
        Ok(value)
    }

    fn put_back(&self, module: &str, what: &ParametersOf, saved: &Saved) -> Vec<String> {
        let Some(values) = saved.get(module) else { return Vec::new() };
        let paths = self.paths(module, what);
        let values = paths.iter().filter_map(|path| Some((path, values.get(path)?)));
        values
            .filter_map(|(path, value)| {
                let error = self.write(path, value).err()?;
                Some(format!("{module}'s parameter {path} is not put back to {value:?}: {error}"))
            })
            .collect()
    }

    /// In one write, as sysfs and procfs expect it; a parameter that is gone is not made.
    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        if self.read(path).is_ok_and(|current| current == value) {
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.in_sysroot(path))?;
        file.write_all(format!("{value}\n").as_bytes())
    }

    /// Adds to what is kept, on disk when this returns.
    fn keep(&self, saved: Saved) -> Result<(), String> {
        let turn = Turn::wait(&self.file).map_err(|error| self.told("saved", error))?;
        let mut kept = self.saved()?;
        let before = kept.clone();
        kept.extend(saved);
        if kept == before {
            return Ok(());
        }
        let text = toml::to_string(&kept).map_err(|error| self.told("saved", error))?;
        turn.write(text.as_bytes()).map_err(|error| self.told("saved", error))
    }

    fn saved(&self) -> Result<Saved, String> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Saved::new()),
            read => read.map_err(|error| self.told("read", error))?,
        };
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_number(&text, span.start));
            self.told("read", format!("line {line}: {}; mend it or move it away", error.message()))
        })
    }

    fn told(&self, what: &str, why: impl std::fmt::Display) -> String {
        format!("saved parameters of modules cannot be {what}, {}: {why}", self.file.display())
    }
}

/// The names in a directory, sorted; none when there is no such directory.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether the mode grants the owner all of `bits`; what root may do regardless does not count.
fn has_mode(path: &Path, bits: u32) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bits == bits)
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
