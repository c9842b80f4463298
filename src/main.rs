//! `kerneld`: takes kerneld's SysV messages and runs modprobe directly, the way kmod does.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kerneld::cli::main()
}
