//! What a helper's last argument says of how it is to behave, where there is no plan.

use crate::place::GO;
use nix::sys::signal::{Signal, raise};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Behaves as `name` says ([`crate::run`]); the exit status.
pub(crate) fn obey(name: &str, dir: &Path) -> u8 {
    let number = |word: &str| name.strip_prefix(word).and_then(|number| number.parse::<u16>().ok());
    if let Some(signal) = number("signal").and_then(|n| Signal::try_from(i32::from(n)).ok()) {
        let _ = raise(signal);
    }
    if let Some(milliseconds) = number("sleep") {
        sleep(Duration::from_millis(milliseconds.into()));
    }
    while name.starts_with("wait") && dir.exists() && !dir.join(GO).exists() {
        sleep(Duration::from_millis(5));
    }
    name.rsplit_once("exit").and_then(|(_, code)| code.parse().ok()).unwrap_or(0)
}
