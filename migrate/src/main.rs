//! `kerneld-migrate`: the way from kerneld's configuration to kmod's.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld_migrate::run()
}
