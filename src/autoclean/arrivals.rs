//! Learns which modules a load helper brought in: what `/proc/modules` has after it and had not before,
//! as far as modprobe says that the request names them.
#![forbid(unsafe_code)]

use super::named_by_modprobe;
use crate::action;
use crate::config::underscored;
use crate::helper;
use crate::modules::{Kernel, Listing};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};

/// Modules that arrived, with their [`Kernel::identity`].
pub type Arrivals = BTreeMap<String, u64>;

/// What has been loaded since `before`, by whomever.
///
/// # Errors
/// As [`Kernel::listing`].
pub fn since(before: &Listing, kernel: &Kernel) -> io::Result<Arrivals> {
    let known = |name: String| kernel.identity(&name).map(|identity| (name, identity));
    Ok(kernel.listing()?.since(before).into_iter().filter_map(known).collect())
}

/// A running `modprobe --show-depends`, asked what loading a name takes.
pub struct Inquiry {
    child: Child,
    name: String,
}

impl Inquiry {
    /// Asks `modprobe` about `name`; `None` if that helper is no modprobe, which is to say neither called
    /// so nor a link to kmod, and would not know the question.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(modprobe: &Path, name: &str) -> io::Result<Option<Self>> {
        if !is_modprobe(modprobe) {
            return Ok(None);
        }
        // The short -D: busybox has no other.
        let args = ["-q", "-D", "--", name].map(str::to_owned).into();
        let helper =
            action::Helper { path: modprobe.to_owned(), args, trigger: None, watch: action::Watch::Nothing };
        let child = helper::command(&helper)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Inquiry { child, name: name.to_owned() }))
    }

    /// Waits for the answer and takes from `arrivals` what it does not name: someone else loaded that at
    /// the same moment. The name that was asked about counts as named, for a configured `install` command
    /// hides it.
    ///
    /// # Errors
    /// When modprobe fails; who came in through us is then not known.
    pub fn restrict(self, arrivals: &mut Arrivals) -> Result<(), String> {
        let failed = |why: &dyn std::fmt::Display| format!("modprobe -D {}: {why}", self.name);
        let output = self.child.wait_with_output().map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&output.status));
        }
        let mut named = named_by_modprobe(&String::from_utf8_lossy(&output.stdout));
        named.insert(underscored(&self.name));
        arrivals.retain(|name, _| named.contains(name));
        Ok(())
    }
}

fn is_modprobe(helper: &Path) -> bool {
    let called = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    called(helper, "modprobe") || fs::canonicalize(helper).is_ok_and(|real| called(&real, "kmod"))
}
