//! `kerneld-compare`: did the new kerneld do what the old one did?
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld_compare::role::played().unwrap_or_else(kerneld_compare::cli::main)
}
