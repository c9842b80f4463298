//! Names of modules, checked once, and why a request is refused. Pure.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest module name or alias: one byte less than the kernel's `MODULE_NAME_LEN` on 64-bit
/// machines (56), as in `__request_module`.
pub(crate) const MAX_NAME: usize = 55;

/// Why a request is answered without being carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The errno whose negative is the answer's status.
    pub errno: i32,
    /// A sentence for the log.
    pub why: String,
}

impl Refusal {
    /// A refusal with `errno`, because of `why`.
    pub fn new(errno: i32, why: impl Into<String>) -> Self {
        Refusal { errno, why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The name of a module or of what an alias stands for, safe to hand to a helper: 1 to [`MAX_NAME`]
/// printable ASCII characters, none of them white space, a quote, `/` or a shell metacharacter, and
/// the first neither `-` nor `.`. No other value of this type can be made, nor arrive from another process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

impl ModuleName {
    /// Checks a request's text.
    ///
    /// # Errors
    /// `ENAMETOOLONG` over [`MAX_NAME`] bytes, as `__request_module`; `EINVAL` for all else.
    pub fn new(text: &[u8]) -> Result<Self, Refusal> {
        let shown = text.escape_ascii();
        if text.len() > MAX_NAME {
            let why = format!("name of {} bytes is longer than {MAX_NAME}", text.len());
            return Err(Refusal::new(libc::ENAMETOOLONG, why));
        }
        let Some(first) = text.first() else {
            return Err(Refusal::new(libc::EINVAL, "the name is empty"));
        };
        if matches!(first, b'-' | b'.') {
            return Err(Refusal::new(libc::EINVAL, format!("name '{shown}' begins with - or .")));
        }
        match text.iter().find(|byte| !may_hold(**byte)) {
            Some(byte) => {
                let why = format!("name '{shown}' holds the byte '{}'", byte.escape_ascii());
                Err(Refusal::new(libc::EINVAL, why))
            }
            None => Ok(ModuleName(text.iter().copied().map(char::from).collect())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name may hold this byte.
pub(crate) fn may_hold(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"'\"`/\\$&|;<>()[]{}*?!#~^".contains(&byte)
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> String {
        name.0
    }
}

impl TryFrom<String> for ModuleName {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        ModuleName::new(text.as_bytes())
    }
}

/// A module's name as the kernel has it: `-` and `_` are equal, and it writes `_`.
pub(crate) use kerneld_kmod::underscored;

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(text: &[u8]) -> i32 {
        ModuleName::new(text).map_or_else(|refusal| refusal.errno, |_| 0)
    }

    #[test]
    fn request_names_of_every_era_pass() {
        let names = [
            "ppp",
            "char-major-10-144",
            "net-pf-10-proto-132-type-1",
            "fs-iso9660",
            "eth0:1",
            "binfmt--310",
            "nls_iso8859-1",
            "usb:v046DpC077d7200",
            "crypto-aes,xts",
            "a",
        ];
        for name in names {
            assert_eq!(ModuleName::new(name.as_bytes()).unwrap().as_str(), name);
        }
    }

    #[test]
    fn options_paths_and_shell_text_do_not() {
        let texts =
            ["", "-C/tmp/x", ".hidden", "a b", "a/b", "a;b", "$(id)", "`id`", "a|b", "a'b", "a\"b", "a\nb"];
        for text in texts {
            assert_eq!(errno(text.as_bytes()), libc::EINVAL, "{text:?}");
        }
        for byte in (0..=b' ').chain(0x7f..=0xff) {
            assert_eq!(errno(&[b'a', byte]), libc::EINVAL, "{byte:#x}");
        }
    }

    #[test]
    fn the_longest_name_is_the_kernels() {
        assert_eq!(errno(&[b'x'; MAX_NAME]), 0);
        assert_eq!(errno(&[b'x'; MAX_NAME + 1]), libc::ENAMETOOLONG);
    }

    #[test]
    fn a_name_that_was_not_checked_cannot_be_made_from_text() {
        assert!(ModuleName::try_from("-C/tmp/x".to_owned()).is_err());
    }
}
