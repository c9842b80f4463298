//! Runs a helper and waits for it: one execve, no shell.
#![forbid(unsafe_code)]

use crate::action::Helper;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

/// Starts a helper. Its standard streams are the executor's own, which are /dev/null, and every other
/// descriptor of the executor is close-on-exec: so nothing needs doing in the child, and the standard
/// library takes its posix_spawn path.
///
/// # Errors
/// The errno of a helper that cannot be run.
pub fn spawn(helper: &Helper) -> Result<Child, i32> {
    Command::new(&helper.path)
        .args(&helper.args)
        .env_clear()
        .envs(helper.env())
        .spawn()
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Waits for a helper to end; its status as an answer carries it.
pub fn wait(mut child: Child) -> i32 {
    match child.wait() {
        Ok(status) => code(status),
        Err(error) => -error.raw_os_error().unwrap_or(libc::ECHILD),
    }
}

/// The exit code; 128+N for a helper killed by signal N, as a shell counts it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_from_128() {
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}
