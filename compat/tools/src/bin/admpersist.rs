//! `admpersist`: see `kerneld_tools::admpersist`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld_tools::admpersist::main()
}
