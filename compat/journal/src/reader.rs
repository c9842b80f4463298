//! Reads the journal: record by record, across its two files, and on as it grows and is rotated.
#![forbid(unsafe_code)]

use super::record::{Event, Record};
use super::{current, previous};
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A line that is not a record, or a file that cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, by the name it had when it was opened.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.why)
    }
}

impl std::error::Error for Problem {}

/// The journal's records, oldest first. After the end (`None`) it may be asked again: it goes on with
/// what was written since, into whichever file.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    source: Option<Source>,
    next: VecDeque<Source>,
    seen: Seen,
}

impl Reader {
    /// Reads the journal of the state directory `dir` from its beginning.
    ///
    /// # Errors
    /// What opening a file gave, except that a missing file is not an error.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let next = files(dir)?;
        Ok(Reader { dir: dir.to_owned(), source: None, next, seen: Seen::default() })
    }

    /// The line at the end, if it has no newline: it is being written right now, or was cut short for good.
    pub fn torn(&self) -> Option<Problem> {
        self.source.as_ref().and_then(Source::torn)
    }

    /// The files that come after the one being read.
    fn newer(&self) -> io::Result<VecDeque<Source>> {
        let mut files = files(&self.dir)?;
        let ours = self.source.as_ref().map(|source| source.inode);
        if let Some(at) = files.iter().position(|file| Some(file.inode) == ours) {
            files.drain(..=at);
        }
        Ok(files)
    }

    fn unreadable(&self, error: &io::Error) -> Problem {
        Problem { file: current(&self.dir), line: 1, why: format!("cannot be read: {error}") }
    }
}

impl Iterator for Reader {
    type Item = Result<Record, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.source.as_mut().and_then(Source::next) {
                Some(Ok(record)) if self.seen.before(&record) => {}
                Some(result) => return Some(result),
                None if self.next.is_empty() => match self.newer() {
                    Ok(newer) if newer.is_empty() => return None,
                    // Read the old file once more first: it may have grown until it was rotated.
                    Ok(newer) => self.next = newer,
                    Err(error) => return Some(Err(self.unreadable(&error))),
                },
                None => {
                    let left = self.torn();
                    self.source = self.next.pop_front();
                    if let Some(torn) = left {
                        return Some(Err(torn));
                    }
                }
            }
        }
    }
}

/// What a carried-over record may repeat. Requests are carried in the order of their numbers.
#[derive(Debug, Default)]
struct Seen {
    request: u64,
    started: bool,
}

impl Seen {
    fn before(&mut self, record: &Record) -> bool {
        match &record.event {
            Event::Started(_) => std::mem::replace(&mut self.started, true) && record.carried,
            Event::Accepted(accepted) if record.carried && accepted.request <= self.request => true,
            Event::Accepted(accepted) => {
                self.request = accepted.request;
                false
            }
            _ => false,
        }
    }
}

/// One file.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    inode: u64,
    input: BufReader<File>,
    /// The line that is read, or was read last.
    number: u64,
    line: Vec<u8>,
    broken: bool,
}

impl Source {
    fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let inode = file.metadata()?.ino();
        let input = BufReader::new(file);
        Ok(Some(Source { path, inode, input, number: 1, line: Vec::new(), broken: false }))
    }

    /// The next whole line; empty ones say nothing.
    fn next(&mut self) -> Option<Result<Record, Problem>> {
        while !self.broken {
            if let Err(error) = self.input.read_until(b'\n', &mut self.line) {
                self.broken = true;
                return Some(Err(self.problem(format!("cannot be read any further: {error}"))));
            }
            let line = self.line.strip_suffix(b"\n")?;
            let parsed = (!line.is_empty()).then(|| serde_json::from_slice(line));
            let result = parsed.map(|parsed| parsed.map_err(|error| self.problem(not_a_record(&error))));
            self.line.clear();
            self.number += 1;
            if result.is_some() {
                return result;
            }
        }
        None
    }

    fn torn(&self) -> Option<Problem> {
        let len = self.line.len();
        (len > 0).then(|| self.problem(format!("the line of {len} bytes is cut short")))
    }

    fn problem(&self, why: String) -> Problem {
        Problem { file: self.path.clone(), line: self.number, why }
    }
}

fn not_a_record(error: &serde_json::Error) -> String {
    format!("the line is not a record of the journal: {error}")
}

/// The files that are there, the older first. The newer is opened first: were it rotated in between,
/// the other way round would miss it, and this way it is only met twice.
fn files(dir: &Path) -> io::Result<VecDeque<Source>> {
    let newer = Source::open(current(dir))?;
    let older = Source::open(previous(dir))?;
    let same = |older: &Source| newer.as_ref().is_some_and(|newer| newer.inode == older.inode);
    let older = older.filter(|older| !same(older));
    Ok(older.into_iter().chain(newer).collect())
}
