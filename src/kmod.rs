//! What the running kernel says about loading modules: `/proc/sys/kernel/modprobe` and `modules_disabled`.
#![forbid(unsafe_code)]

use crate::policy::Refusal;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const MODPROBE: &str = "/proc/sys/kernel/modprobe";
const DISABLED: &str = "/proc/sys/kernel/modules_disabled";
const COMPILED_IN: &str = "/sbin/modprobe";

/// The helper that the kernel itself would run now; `chosen` if the admin named one.
///
/// # Errors
/// `EPERM` when `kernel.modules_disabled` is 1; `ENOENT` when `kernel.modprobe` is empty, which
/// switches loading off (`__request_module`).
pub fn helper(chosen: Option<&Path>) -> Result<PathBuf, Refusal> {
    if modules_disabled() {
        return Err(Refusal::new(libc::EPERM, "kernel.modules_disabled is 1"));
    }
    match chosen {
        Some(path) => Ok(path.to_owned()),
        None => named_by_kernel(),
    }
}

/// Whether this kernel takes and gives up no modules any more.
pub fn modules_disabled() -> bool {
    std::fs::read(DISABLED).is_ok_and(|value| value.starts_with(b"1"))
}

fn named_by_kernel() -> Result<PathBuf, Refusal> {
    let setting = match std::fs::read_to_string(MODPROBE) {
        Ok(setting) => setting,
        // A kernel without modules has no such file.
        Err(error) if error.kind() == ErrorKind::NotFound => COMPILED_IN.to_owned(),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            return Err(Refusal::new(errno, format!("cannot read {MODPROBE}: {error}")));
        }
    };
    parse(&setting)
}

/// The kernel resolves a relative path from its own working directory, `/`.
fn parse(setting: &str) -> Result<PathBuf, Refusal> {
    match setting.trim_end_matches('\n') {
        "" => Err(Refusal::new(libc::ENOENT, "kernel.modprobe is empty: loading is switched off")),
        path => Ok(Path::new("/").join(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_setting_switches_loading_off() {
        assert_eq!(parse("\n").unwrap_err().errno, libc::ENOENT);
        assert_eq!(parse("/sbin/modprobe\n").unwrap(), Path::new("/sbin/modprobe"));
        assert_eq!(parse("bin/helper\n").unwrap(), Path::new("/bin/helper"));
    }
}
