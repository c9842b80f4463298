//! Where log lines go: standard error in the foreground, and the kernel log for the system's daemon, as
//! with kmod. Never syslog: its socket may belong to the module that is being asked for.
#![forbid(unsafe_code)]

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
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

/// Sends log lines to `log`, one write each, without ever waiting for a reader: lines that find no room are
/// left out and counted. To /dev/kmsg they carry the kernel's `<N>` priorities, and no more are sent than
/// the kernel takes. Panics go there, too.
pub(crate) fn start(log: File, kernel: bool) {
    let target: Box<dyn Write + Send> = if kernel {
        Box::new(Lines::new(log, Some(Quota::of_this_kernel())))
    } else {
        Box::new(Lines::new(Unwaiting::new(log), None))
    };
    Builder::new()
        .filter_level(LevelFilter::Debug)
        .target(Target::Pipe(target))
        .format(move |line, record| {
            let text = format!("kerneld: {}", escaped(&record.args().to_string()));
            line.write_all(&if kernel { kernel_line(record.level(), &text) } else { plain_line(&text) })
        })
        .init();
    panic::set_hook(Box::new(|info| log::error!("internal error: {info}")));
}

/// A file that is written to only if that needs no waiting. (Writing to the kernel log never does.)
struct Unwaiting(File);

impl Unwaiting {
    /// A pipe or a terminal is opened once more, since whoever shares the one at hand does not want it to be
    /// non-blocking. Where that is impossible a look before each write has to do, which may be wrong when
    /// others write to the same pipe.
    fn new(log: File) -> Self {
        let blocks =
            log.metadata().is_ok_and(|log| log.file_type().is_fifo() || log.file_type().is_char_device());
        let again = || {
            let path = format!("/proc/self/fd/{}", log.as_raw_fd());
            let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
            File::options().append(true).custom_flags(flags.bits().cast_signed()).open(path)
        };
        Unwaiting(if blocks { again().unwrap_or(log) } else { log })
    }
}

impl Write for Unwaiting {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let now = Timespec::default();
        if poll(&mut fds, Some(&now))? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends log lines to standard error.
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

/// The longest line that a pipe takes as a whole or not at all (`PIPE_BUF`).
const MAX_PLAIN_LINE: usize = 4096;

fn plain_line(text: &str) -> Vec<u8> {
    cut(text, MAX_PLAIN_LINE)
}

fn kernel_line(level: Level, text: &str) -> Vec<u8> {
    cut(&format!("<{}>{text}", priority(level)), MAX_LINE)
}

/// The line with its end, in at most `longest` bytes.
fn cut(line: &str, longest: usize) -> Vec<u8> {
    let end = (0..longest.min(line.len() + 1)).rfind(|end| line.is_char_boundary(*end));
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

/// A log that gets no more lines than a quota and what it takes without waiting, and a line that says how
/// many were left out.
struct Lines<W> {
    log: W,
    /// For the kernel log.
    quota: Option<Quota>,
    /// When the whole burst will be free again.
    rested: Instant,
    left_out: u64,
}

impl<W: Write> Lines<W> {
    fn new(log: W, quota: Option<Quota>) -> Self {
        Lines { log, quota, rested: Instant::now(), left_out: 0 }
    }

    fn line(&mut self, line: &[u8], now: Instant) -> io::Result<()> {
        let passes = self.is_within_quota(now) && self.tell_left_out()? && self.put(line)?;
        self.left_out += u64::from(!passes);
        Ok(())
    }

    fn is_within_quota(&mut self, now: Instant) -> bool {
        let Some(Quota { burst, every }) = self.quota else { return true };
        let rested = self.rested.max(now) + every;
        let within = rested <= now + every * burst;
        if within {
            self.rested = rested;
        }
        within
    }

    fn tell_left_out(&mut self) -> io::Result<bool> {
        if self.left_out == 0 {
            return Ok(true);
        }
        let told = format!("kerneld: {} lines are left out here: too many at once", self.left_out);
        let kernel = self.quota.is_some();
        let told = self.put(&if kernel { kernel_line(Level::Warn, &told) } else { plain_line(&told) })?;
        if told {
            self.left_out = 0;
        }
        Ok(told)
    }

    /// Whether there was room for the line.
    fn put(&mut self, line: &[u8]) -> io::Result<bool> {
        match self.log.write_all(line) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Each write is a line.
impl<W: Write> Write for Lines<W> {
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
    use std::io::Read;
    use std::os::fd::OwnedFd;

    const QUOTA: Quota = Quota { burst: 60, every: Duration::from_millis(100) };

    fn lines(log: &Lines<Vec<u8>>) -> Vec<String> {
        String::from_utf8(log.log.clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_burst_passes_then_ten_a_second_and_the_rest_is_counted() {
        let mut log = Lines::new(Vec::new(), Some(QUOTA));
        let start = log.rested;
        for _ in 0..100 {
            log.line(b"line\n", start).unwrap();
        }
        assert_eq!(lines(&log), ["line"; 60]);
        for tenth in 1..=10 {
            log.line(b"later\n", start + tenth * QUOTA.every).unwrap();
        }
        let later = lines(&log).split_off(60);
        assert_eq!(later[0], "<28>kerneld: 40 lines are left out here: too many at once");
        assert_eq!(later[1..], ["later"; 10]);
    }

    #[test]
    fn a_rest_frees_the_burst_and_no_more() {
        let mut log = Lines::new(Vec::new(), Some(QUOTA));
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

    #[test]
    fn lines_that_nobody_reads_are_counted_and_the_count_is_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = Lines::new(Unwaiting::new(File::from(OwnedFd::from(writer))), None);
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        for _ in 0..200 {
            log.line(&line, Instant::now()).unwrap();
        }
        let left_out = log.left_out;
        assert!((100..200).contains(&left_out), "{left_out}");
        let mut read = vec![0; 200 - left_out as usize];
        read.resize(read.len() * line.len(), 0);
        reader.read_exact(&mut read).unwrap();
        log.line(b"later\n", Instant::now()).unwrap();
        drop(log);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, format!("kerneld: {left_out} lines are left out here: too many at once\nlater\n"));
    }

    #[test]
    fn a_plain_line_is_one_that_a_pipe_takes_as_a_whole() {
        assert_eq!(plain_line("text"), b"text\n");
        assert!(plain_line(&"\u{e9}".repeat(MAX_PLAIN_LINE)).len() <= MAX_PLAIN_LINE);
    }
}
