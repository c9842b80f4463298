//! `kdsend`: see `kerneld_tools::kdsend`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld_tools::kdsend::main()
}
