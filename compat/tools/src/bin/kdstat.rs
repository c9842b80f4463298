//! `kdstat`: see `kerneld_tools::kdstat`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld_tools::kdstat::main()
}
