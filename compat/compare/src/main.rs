//! `kerneld-compare`: did the new kerneld do what the old one did?
#![forbid(unsafe_code)]

use kerneld_compare::{cli, recorder};

fn main() -> std::process::ExitCode {
    if recorder::called() { recorder::main() } else { cli::main() }
}
