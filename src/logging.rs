//! Where log lines go: standard error in the foreground, and the kernel log for the system's daemon, as
//! with kmod. Never syslog: its socket may belong to the module that is being asked for.
#![forbid(unsafe_code)]

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::path::Path;
use std::time::{Duration, Instant};

/// Opens where log lines are to go: a descriptor of its own, for the executor's standard streams
/// become /dev/null. In the background that is the kernel log, or `log` in the state directory for a user who may
/// not write there.
///
/// # Errors
/// When none of these can be opened.
pub(crate) fn open(foreground: bool, state_dir: &Path) -> io::Result<(File, bool)> {
    if foreground {
        return Ok((File::from(io::stderr().as_fd().try_clone_to_owned()?), false));
    }
    let append = |path: &Path, create| File::options().append(true).create(create).open(path);
    match append(Path::new("/dev/kmsg"), false) {
        Ok(kmsg) => Ok((kmsg, true)),
        Err(_) => Ok((append(&state_dir.join("log"), true)?, false)),
    }
}

/// Sends log lines to `log`, one write each. To /dev/kmsg they carry the kernel's `<N>` priorities, and
/// no more are sent than the kernel takes. Panics go there, too.
pub(crate) fn start(log: File, kernel: bool) {
    let target: Box<dyn Write + Send> =
        if kernel { Box::new(Limited::new(log, Quota::of_this_kernel())) } else { Box::new(log) };
    Builder::new()
        .filter_level(LevelFilter::Debug)
        .target(Target::Pipe(target))
        .format(move |line, record| {
            let text = format!("kerneld: {}", escaped(&record.args().to_string()));
            if kernel {
                return line.write_all(&kernel_line(record.level(), &text));
            }
            writeln!(line, "{text}")
        })
        .init();
    panic::set_hook(Box::new(|info| log::error!("internal error: {info}")));
}

/// Sends log lines to standard error, which the executor has pointed at its own log.
pub(crate) fn start_on_stderr() {
    let kernel = std::fs::read_link("/proc/self/fd/2").is_ok_and(|target| target == Path::new("/dev/kmsg"));
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(log) => start(File::from(log), kernel),
        Err(error) => eprintln!("kerneld: cannot share standard error: {error}"),
    }
}

/// A message stays one line, and writes nothing to a terminal but characters.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// The longest line that every /dev/kmsg takes; of a longer one it refuses the whole (`devkmsg_write`,
/// `kernel/printk/printk.c`: over 1024 bytes today, over 976 on older kernels with PRINTK_CALLER).
const MAX_LINE: usize = 976;

fn kernel_line(level: Level, text: &str) -> Vec<u8> {
    let line = format!("<{}>{text}", priority(level));
    let end = (0..MAX_LINE.min(line.len() + 1)).rfind(|end| line.is_char_boundary(*end));
    [&line.as_bytes()[..end.unwrap_or(0)], b"\n"].concat()
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

/// How many lines may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    /// After a rest.
    burst: u32,
    /// One more in this time.
    every: Duration,
}

impl Quota {
    /// Where the kernel limits writers itself, it drops lines past 10 in 5 s and says nothing until the
    /// file is closed: so fewer are sent, and a line says how many were left out.
    fn of_this_kernel() -> Self {
        Self::under(&std::fs::read_to_string("/proc/sys/kernel/printk_devkmsg").unwrap_or_default())
    }

    fn under(printk_devkmsg: &str) -> Self {
        match printk_devkmsg.trim_end() {
            "ratelimit" => Quota { burst: 4, every: Duration::from_secs(1) },
            _ => Quota { burst: 60, every: Duration::from_millis(100) },
        }
    }
}

/// A log that gets no more than a quota of lines, and a line that says how many were left out.
struct Limited<W> {
    log: W,
    quota: Quota,
    /// When the whole burst will be free again.
    rested: Instant,
    left_out: u64,
}

impl<W: Write> Limited<W> {
    fn new(log: W, quota: Quota) -> Self {
        Limited { log, quota, rested: Instant::now(), left_out: 0 }
    }

    fn line(&mut self, line: &[u8], now: Instant) -> io::Result<()> {
        let rested = self.rested.max(now) + self.quota.every;
        if rested > now + self.quota.every * self.quota.burst {
            self.left_out += 1;
            return Ok(());
        }
        self.rested = rested;
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            let told = format!("kerneld: {left_out} lines left out here: too many at once");
            self.log.write_all(&kernel_line(Level::Warn, &told))?;
        }
        self.log.write_all(line)
    }
}

/// Each write is a line.
impl<W: Write> Write for Limited<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line, Instant::now()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { burst: 60, every: Duration::from_millis(100) };

    fn lines(log: &Limited<Vec<u8>>) -> Vec<String> {
        String::from_utf8(log.log.clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_burst_passes_then_ten_a_second_and_the_rest_is_counted() {
        let mut log = Limited::new(Vec::new(), QUOTA);
        let start = log.rested;
        for _ in 0..100 {
            log.line(b"line\n", start).unwrap();
        }
        assert_eq!(lines(&log), ["line"; 60]);
        for tenth in 1..=10 {
            log.line(b"later\n", start + tenth * QUOTA.every).unwrap();
        }
        let later = lines(&log).split_off(60);
        assert_eq!(later[0], "<28>kerneld: 40 lines left out here: too many at once");
        assert_eq!(later[1..], ["later"; 10]);
    }

    #[test]
    fn a_rest_frees_the_burst_and_no_more() {
        let mut log = Limited::new(Vec::new(), QUOTA);
        let after_an_hour = log.rested + Duration::from_secs(3600);
        for _ in 0..100 {
            log.line(b"line\n", after_an_hour).unwrap();
        }
        assert_eq!(lines(&log).len(), 60);
    }

    #[test]
    fn less_is_sent_than_the_kernel_drops() {
        let Quota { burst, every } = Quota::under("ratelimit\n");
        assert!(burst + (Duration::from_secs(5).as_millis() / every.as_millis()) as u32 <= 10);
        assert_eq!(Quota::under("on\n"), QUOTA);
    }

    #[test]
    fn a_kernel_line_is_one_line_with_a_priority_that_fits() {
        let text = escaped("a\nb\x1b[31m\u{e9}\0");
        assert_eq!(text, "a\\nb\\u{1b}[31m\u{e9}\\u{0}");
        assert_eq!(kernel_line(Level::Error, "text"), b"<27>text\n");
        let long = kernel_line(Level::Info, &"\u{e9}".repeat(MAX_LINE));
        assert!(long.len() <= MAX_LINE && std::str::from_utf8(&long).is_ok() && long.ends_with(b"\n"));
    }
}
