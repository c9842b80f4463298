//! May this run? Pure: a request in, an action or a refusal out. Both processes ask it.
#![forbid(unsafe_code)]

use crate::action::Action;
use kerneld_protocol::request::{Command, Request};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Longest module name or alias: one byte less than the kernel's `MODULE_NAME_LEN` on 64-bit
/// machines (56), as `__request_module` has it.
pub const MAX_NAME: usize = 55;

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
/// the first neither `-` nor `.`. No other value of this type can be made, nor arrive over a channel.
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
pub fn may_hold(byte: u8) -> bool {
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

/// The numbers of get_persist and set_persist, which no source at hand tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersistNumbers {
    /// `mtype` of get_persist.
    pub get: i64,
    /// `mtype` of set_persist.
    pub set: i64,
}

/// What a request comes to.
///
/// # Errors
/// A [`Refusal`] when its text is not one that its command may have.
pub fn judge(request: &Request, persist: PersistNumbers) -> Result<Action, Refusal> {
    let name = || ModuleName::new(request.text);
    match request.command {
        Command::System => Ok(Action::System(request.text.to_vec())),
        Command::RequestModule => name().map(Action::Load),
        Command::ReleaseModule => name().map(Action::Unload),
        Command::DelayedReleaseModule => name().map(Action::UnloadLater),
        Command::CancelReleaseModule => name().map(Action::CancelUnload),
        Command::RequestRoute => address(request.text).map(Action::Route),
        Command::ScreenBlanker => switch(request.text).map(Action::Blanker),
        Command::Debug => Ok(Action::Status(String::from_utf8_lossy(request.text).into_owned())),
        Command::Other(number) if number == persist.get => Ok(Action::GetPersist(request.text.to_vec())),
        Command::Other(number) if number == persist.set => Ok(Action::SetPersist(request.text.to_vec())),
        command @ (Command::Pnp | Command::Other(_)) => Ok(Action::Unknown(command)),
    }
}

/// An IPv4 or IPv6 address and nothing else: it becomes an argument of a helper.
fn address(text: &[u8]) -> Result<IpAddr, Refusal> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Refusal::new(libc::EINVAL, format!("'{}' is no IP address", text.escape_ascii())))
}

fn switch(text: &[u8]) -> Result<bool, Refusal> {
    match text {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Refusal::new(libc::EINVAL, format!("'{}' is neither on nor off", text.escape_ascii()))),
    }
}

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
