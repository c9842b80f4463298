//! Waiting for what another process does.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine: a wait this long means a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done`.
///
/// # Panics
///
/// With `what`, when it takes longer than [`PATIENCE`].
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}
