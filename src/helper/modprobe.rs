//! How modprobe is called, and what it says: the helper that the kernel names (`/proc/sys/kernel/modprobe`,
//! `modules_disabled`), its arguments, and its answer to the question of what loading a name takes.
#![forbid(unsafe_code)]

use kerneld_kmod::Step;

use crate::helper::{self, Watch, watched};
use crate::order::name::{ModuleName, Refusal, underscored};
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

const MODPROBE: &str = "/proc/sys/kernel/modprobe";
const DISABLED: &str = "/proc/sys/kernel/modules_disabled";
const COMPILED_IN: &str = "/sbin/modprobe";

/// Longest path that `kernel.modprobe` holds (`KMOD_PATH_LEN`, `kernel/module/kmod.c`).
const PATH_LEN: usize = 256;

/// The helper that the kernel itself would run now; `chosen` if the admin named one.
///
/// # Errors
/// `EPERM` when `kernel.modules_disabled` is 1; `ENOENT` when `kernel.modprobe` is empty, which
/// switches loading off (`__request_module`).
pub(crate) fn helper(chosen: Option<&Path>) -> Result<PathBuf, Refusal> {
    if modules_disabled() {
        return Err(Refusal::new(libc::EPERM, "kernel.modules_disabled is 1"));
    }
    match chosen {
        Some(path) => Ok(path.to_owned()),
        None => named_by_kernel(),
    }
}

/// Whether this kernel no longer loads or unloads modules.
pub(crate) fn modules_disabled() -> bool {
    static FILE: Sysctl = Sysctl::new();
    matches!(sysctl(&FILE, DISABLED), Ok(Some(value)) if value.starts_with('1'))
}

fn named_by_kernel() -> Result<PathBuf, Refusal> {
    static FILE: Sysctl = Sysctl::new();
    match sysctl(&FILE, MODPROBE) {
        // A kernel without modules has no such file.
        Ok(None) => Ok(COMPILED_IN.into()),
        Ok(Some(value)) => parse(&value),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            Err(Refusal::new(errno, format!("cannot read {MODPROBE}: {error}")))
        }
    }
}

/// A sysctl's file, opened once; `None` on a kernel that does not have it, and never will.
type Sysctl = OnceLock<Option<File>>;

/// The value that a sysctl has now. The file stays open: each request reads it, and reading from the start
/// gives the value of that moment.
fn sysctl(file: &Sysctl, path: &str) -> io::Result<Option<String>> {
    if file.get().is_none() {
        let opened = match File::open(path) {
            Ok(opened) => Some(opened),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let _ = file.set(opened);
    }
    let Some(Some(file)) = file.get() else { return Ok(None) };
    let mut value = [0; PATH_LEN];
    let len = file.read_at(&mut value, 0)?;
    Ok(Some(String::from_utf8_lossy(&value[..len]).into_owned()))
}

/// The kernel resolves a relative path from its own working directory, `/`.
fn parse(setting: &str) -> Result<PathBuf, Refusal> {
    match setting.trim_end_matches('\n') {
        "" => Err(Refusal::new(libc::ENOENT, "kernel.modprobe is empty: loading is switched off")),
        path => Ok(Path::new("/").join(path)),
    }
}

/// modprobe's arguments as the kernel's `call_modprobe` gives them; `-r` added to unload.
pub(crate) fn modprobe_args(name: &ModuleName, unload: bool) -> Vec<String> {
    let remove = unload.then_some("-r");
    ["-q"].into_iter().chain(remove).chain(["--", name.as_str()]).map(str::to_owned).collect()
}

/// A running `modprobe --show-depends`, asked what loading a name takes.
pub(crate) struct Inquiry {
    child: Child,
    name: String,
}

impl Inquiry {
    /// Asks `modprobe` about `name`; `None` if that helper is not a modprobe (it is neither called
    /// so nor a link to kmod) and would not understand the question.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(crate) fn start(modprobe: &Path, name: &str) -> io::Result<Option<Self>> {
        if !is_modprobe(modprobe) {
            return Ok(None);
        }
        // The short -D: busybox has no other.
        let args = ["-q", "-D", "--", name].map(str::to_owned).into();
        let helper = helper::Helper { path: modprobe.to_owned(), args, trigger: None, watch: Watch::Nothing };
        let child = watched::command(&helper)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Inquiry { child, name: name.to_owned() }))
    }

    /// Waits for the answer: the modules that it names. The name that was asked about counts as named, for
    /// a configured `install` command hides it.
    ///
    /// # Errors
    /// When modprobe fails; then it is not known what came in through us.
    pub(crate) fn names(self) -> Result<BTreeSet<String>, String> {
        let failed = |why: &dyn std::fmt::Display| format!("modprobe -D {}: {why}", self.name);
        let output = self.child.wait_with_output().map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&output.status));
        }
        let mut named = named_by_modprobe(&String::from_utf8_lossy(&output.stdout));
        named.insert(underscored(&self.name));
        Ok(named)
    }
}

fn is_modprobe(helper: &Path) -> bool {
    let called = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    called(helper, "modprobe") || fs::canonicalize(helper).is_ok_and(|real| called(&real, "kmod"))
}

/// The modules that `modprobe --show-depends` names: its `insmod PATH OPTION...` lines. Its other
/// lines, `builtin NAME` and `install COMMAND`, name nothing that can be unloaded.
pub(crate) fn named_by_modprobe(output: &str) -> BTreeSet<String> {
    let inserted = |step| match step {
        Step::Insmod { module, .. } => Some(module),
        Step::Install(_) | Step::Builtin(_) => None,
    };
    Step::read_all(output).filter_map(inserted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kmods() {
        let name = ModuleName::new(b"ppp").unwrap();
        assert_eq!(modprobe_args(&name, false), ["-q", "--", "ppp"]);
        assert_eq!(modprobe_args(&name, true), ["-q", "-r", "--", "ppp"]);
    }

    #[test]
    fn an_empty_path_switches_loading_off() {
        assert_eq!(parse("\n").unwrap_err().errno, libc::ENOENT);
        assert_eq!(parse("/sbin/modprobe\n").unwrap(), Path::new("/sbin/modprobe"));
        assert_eq!(parse("bin/helper\n").unwrap(), Path::new("/bin/helper"));
    }

    #[test]
    fn a_sysctl_is_read_anew_each_time() {
        static FILE: Sysctl = Sysctl::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for value in ["/sbin/modprobe\n", "\n"] {
            std::fs::write(path, value).unwrap();
            assert_eq!(sysctl(&FILE, path).unwrap().as_deref(), Some(value));
        }
        static MISSING: Sysctl = Sysctl::new();
        assert_eq!(sysctl(&MISSING, "/proc/sys/kernel/no-such").unwrap(), None);
    }
}
