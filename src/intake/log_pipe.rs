//! The intake's log lines: over a pipe to the executor, which alone writes to the log.
#![forbid(unsafe_code)]

use log::{Level, LevelFilter, Log, Metadata, Record, log, warn};
use std::io::{PipeReader, Read, Write};
use std::panic;
use std::thread;
use std::time::Duration;

/// The longest line that is written at once, and so not mixed with another.
const MAX_LINE: usize = 1024;

/// Lines that are taken at once; after more than that comes a pause.
const AT_ONCE: usize = 10;
const REST: Duration = Duration::from_millis(100);

/// Sends this process's log lines, and its panics, to standard error: the level's number, then the text.
pub(crate) fn write_to_stderr(level: LevelFilter) {
    static TO_STDERR: ToStderr = ToStderr;
    if log::set_logger(&TO_STDERR).is_ok() {
        log::set_max_level(level);
    }
    panic::set_hook(Box::new(|info| log::error!("internal error: {info}")));
}

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    /// A pipe that is full loses the line: nobody may be kept from reading the queue by the log.
    fn log(&self, record: &Record) {
        let text = record.args().to_string().replace('\n', " ");
        let mut line = format!("{}{text}", record.level() as u8).into_bytes();
        line.truncate(MAX_LINE - 1);
        line.push(b'\n');
        let _ = std::io::stderr().write_all(&line);
    }

    fn flush(&self) {}
}

/// Logs what comes out of `pipe` until its other end is closed. However much that is, no more than some
/// lines a second are logged, and the rest is counted.
pub(crate) fn relay(mut pipe: PipeReader) {
    let mut lines = Lines::default();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut bytes) {
        let (told, left_out) = lines.take(&bytes[..count]);
        for (level, text) in told {
            log!(level, "intake: {text}");
        }
        if left_out > 0 {
            warn!("intake: {left_out} lines are left out here: too many at once");
        }
        if count == bytes.len() || left_out > 0 {
            thread::sleep(REST);
        }
    }
}

/// Cuts bytes into lines; what follows the last newline waits for more.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The first lines, and how many more there were.
    fn take(&mut self, bytes: &[u8]) -> (Vec<(Level, String)>, usize) {
        self.0.extend_from_slice(bytes);
        let end = self.0.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        // A line without end is one all the same.
        let end = if self.0.len() > MAX_LINE + end { self.0.len() } else { end };
        let whole: Vec<u8> = self.0.drain(..end).collect();
        let mut lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let told = lines.by_ref().take(AT_ONCE).map(parse).collect();
        (told, lines.count())
    }
}

fn parse(line: &[u8]) -> (Level, String) {
    let level = match line.first() {
        Some(b'1') => Level::Error,
        Some(b'3') => Level::Info,
        _ => Level::Warn,
    };
    let text = line.strip_prefix(level_digit(level)).unwrap_or(line);
    (level, String::from_utf8_lossy(&text[..text.len().min(MAX_LINE)]).into_owned())
}

fn level_digit(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"1",
        Level::Info => b"3",
        _ => b"2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &mut Lines, bytes: &[u8]) -> Vec<(Level, String)> {
        lines.take(bytes).0
    }

    #[test]
    fn lines_come_whole_with_their_level() {
        let mut lines = Lines::default();
        assert_eq!(texts(&mut lines, b"2one\n1tw"), [(Level::Warn, "one".to_owned())]);
        assert_eq!(texts(&mut lines, b"o\n\n"), [(Level::Error, "two".to_owned())]);
        assert_eq!(texts(&mut lines, b"no level\n"), [(Level::Warn, "no level".to_owned())]);
    }

    #[test]
    fn a_flood_is_counted_and_kept_nowhere() {
        let mut lines = Lines::default();
        let (told, left_out) = lines.take(&b"2x\n".repeat(1000));
        assert_eq!((told.len(), left_out), (AT_ONCE, 1000 - AT_ONCE));
        for _ in 0..100 {
            lines.take(&[b'x'; 4096]);
            assert!(lines.0.len() <= MAX_LINE);
        }
    }
}
