//! Where the queue and the daemon's state are, unless an option says otherwise.
#![forbid(unsafe_code)]

use nix::unistd::Uid;
use std::fmt;
use std::path::{Path, PathBuf};

/// The daemon's configuration when `--config` names none; it may be missing.
pub const CONFIG_FILE: &str = "/etc/kerneld.toml";

/// What cannot be a queue's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// 0, which is `IPC_PRIVATE`.
    Private,
    /// This text.
    NotANumber(String),
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::Private => f.write_str("key 0 is IPC_PRIVATE: nobody else could open that queue"),
            BadKey::NotANumber(text) => {
                write!(f, "{text:?} is not a key: give a number like 1802861166 or 0x6b65726e")
            }
        }
    }
}

impl std::error::Error for BadKey {}

/// Reads a queue's key: decimal, or hexadecimal after `0x` (up to 0xffffffff).
///
/// # Errors
/// [`BadKey`], for a text that is neither, and for the key that no queue can have.
pub fn parse_key(text: &str) -> Result<i32, BadKey> {
    let key = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(u32::cast_signed),
        None => text.parse().ok(),
    };
    match key {
        Some(0) => Err(BadKey::Private),
        Some(key) => Ok(key),
        None => Err(BadKey::NotANumber(text.to_owned())),
    }
}

/// Where the daemon keeps its state unless an option says otherwise: `/run/kerneld` for root, else a folder of
/// the user's own.
pub fn default_state_dir() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/run/kerneld");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("kerneld"),
        None => std::env::temp_dir().join(format!("kerneld-{}", Uid::effective())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decimal_or_hexadecimal() {
        assert_eq!(parse_key("0x6b65726e"), Ok(0x6b65_726e));
        assert_eq!(parse_key("0xffffffff"), Ok(-1));
        assert_eq!(parse_key("-5"), Ok(-5));
        assert!(parse_key("0").is_err() && parse_key("kern").is_err());
    }
}
