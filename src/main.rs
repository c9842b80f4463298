//! `kerneld`: takes kerneld's SysV messages and runs modprobe directly, the way kmod does.
#![forbid(unsafe_code)]

use kerneld_recorder as recorder;
use std::process::ExitCode;

fn main() -> ExitCode {
    match recorder::asked_for() {
        Some(dir) => ExitCode::from(recorder::run(&dir)),
        None => kerneld::main(),
    }
}
