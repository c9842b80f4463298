//! Where log lines go: standard error in the foreground, the kernel log when run as the system's
//! daemon, as kmod's do. Never syslog: its socket may be the module that is being asked for.
#![forbid(unsafe_code)]

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::path::Path;

/// Opens where log lines are to go: a descriptor of its own, for the executor's standard streams
/// become /dev/null. In the background that is the kernel log, or for one who may not write there
/// `log` in the state directory.
///
/// # Errors
/// When none of these can be opened.
pub fn open(foreground: bool, state_dir: &Path) -> io::Result<(File, bool)> {
    if foreground {
        return Ok((File::from(io::stderr().as_fd().try_clone_to_owned()?), false));
    }
    let append = |path: &Path, create| File::options().append(true).create(create).open(path);
    match append(Path::new("/dev/kmsg"), false) {
        Ok(kmsg) => Ok((kmsg, true)),
        Err(_) => Ok((append(&state_dir.join("log"), true)?, false)),
    }
}

/// Sends log lines to `log`, one write each; with the kernel's `<N>` priorities if it is /dev/kmsg.
/// Panics go there too.
pub fn start(log: File, kernel: bool) {
    Builder::new()
        .filter_level(LevelFilter::Debug)
        .target(Target::Pipe(Box::new(log)))
        .format(move |line, record| {
            let text = record.args().to_string().replace('\n', " ");
            if kernel {
                write!(line, "<{}>", priority(record.level()))?;
            }
            writeln!(line, "kerneld: {text}")
        })
        .init();
    panic::set_hook(Box::new(|info| log::error!("internal error: {info}")));
}

/// Sends log lines to standard error, which the executor has pointed at its own log.
pub fn start_on_stderr() {
    let kernel = std::fs::read_link("/proc/self/fd/2").is_ok_and(|target| target == Path::new("/dev/kmsg"));
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(log) => start(File::from(log), kernel),
        Err(error) => eprintln!("kerneld: cannot share standard error: {error}"),
    }
}

/// syslog(3) priorities, facility daemon (3).
fn priority(level: Level) -> u8 {
    3 << 3
        | match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        }
}
