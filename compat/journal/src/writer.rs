//! The daemon's end of the journal: cheap enough to be used for each request.
//!
//! Records are written whole, by one `write(2)`, so a crash of the daemon leaves whole lines; nothing is synced, for
//! the clients whose requests it holds do not survive a crash of the machine either.
#![forbid(unsafe_code)]

use super::reader::{Problem, Reader};
use super::record::{Accepted, Answered, Began, Ended, Event, Record, Started, Text};
use super::{current, previous};
use kerneld_protocol::request::{Command, ReplyTo};
use kerneld_protocol::sender::Sender;
use log::{error, info};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that a file grows by until it is rotated, unless another limit is given. There are two
/// files, and requests still open are carried over on top.
pub const DEFAULT_LIMIT: u64 = 4 << 20;

/// Requests have lower numbers than this, which also fit a float.
const MAX_REQUEST: u64 = 1 << 53;

/// What the journal knew from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Requests accepted but not answered by a daemon that ended in this boot, in order. They stay
    /// open in the journal, under their numbers, until [`Journal::answered`] or
    /// [`Journal::finished`] is called.
    pub requests: Vec<Accepted>,
    /// The daemon that wrote last, in this boot or an earlier one.
    pub previous: Option<Started>,
    /// Lines that are not records. They stay in the file.
    pub problems: Vec<Problem>,
}

/// A journal that cannot be written.
#[derive(Debug)]
pub struct Unusable {
    /// The state directory that it is in.
    pub dir: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the journal in {}: {}", self.dir.display(), self.error)
    }
}

impl std::error::Error for Unusable {}

/// The journal, open for writing. Methods may be called from any thread, and never fail: a record that
/// cannot be written is reported to the log, once until it works again, and service goes on.
#[derive(Debug)]
pub struct Journal(Mutex<Writer>);

impl Journal {
    /// Opens the journal of the state directory `dir`, to be rotated each `limit` bytes, and writes
    /// that `started` serves now. The caller holds the state directory's lock: two writers would
    /// rotate each other's file away.
    ///
    /// # Errors
    /// [`Unusable`], when a file of the journal can be neither read nor made nor written to.
    pub fn open(dir: &Path, limit: u64, started: Started) -> Result<(Self, Recovered), Unusable> {
        let failed = |error: io::Error| Unusable { dir: dir.to_owned(), error };
        let reader = Reader::open(dir).map_err(failed)?;
        let (recovered, past) = recover(reader, &started.boot_id);
        let file = append(&current(dir)).or_else(|error| nowhere(dir, error)).map_err(failed)?;
        let mut writer = Writer {
            size: file.metadata().map_err(failed)?.len(),
            file,
            dir: dir.to_owned(),
            limit,
            started: Record::now(Event::Started(started)),
            open: past.open,
            next: past.next,
            line: Vec::new(),
            torn: past.torn,
            failing: None,
        };
        // A full file system is reported, and does not keep anybody from being served.
        writer.write(&[writer.started.clone()]);
        Ok((Journal(Mutex::new(writer)), recovered))
    }

    /// The number that the next request will have.
    pub fn next_request(&self) -> u64 {
        self.lock().next
    }

    /// Another queue is served from now on: the one of this id.
    pub fn serves(&self, queue: i32) {
        let mut writer = self.lock();
        if let Event::Started(started) = &writer.started.event {
            writer.started = Record::now(Event::Started(Started { queue, ..started.clone() }));
            let record = writer.started.clone();
            writer.write(&[record]);
        }
    }

    /// A request was taken in; returns its number.
    pub fn accepted(&self, command: Command, text: &[u8], reply: ReplyTo, sender: Option<Sender>) -> u64 {
        let mut writer = self.lock();
        let request = writer.next;
        writer.next += 1;
        let accepted = Accepted { request, command: command.number(), text: text.into(), reply, sender };
        let record = Record::now(Event::Accepted(accepted));
        writer.write(std::slice::from_ref(&record));
        writer.open.insert(request, record);
        request
    }

    /// A helper runs as `pid` for the job that is named by its first request.
    pub fn began(
        &self,
        job: u64,
        argv: impl IntoIterator<Item = impl AsRef<OsStr>>,
        trigger: Option<i16>,
        pid: u32,
    ) {
        let argv = argv.into_iter().map(|word| Text::from(word.as_ref())).collect();
        self.lock().write(&[Record::now(Event::Began(Began { job, argv, trigger, pid }))]);
    }

    /// A request that needed no helper is done with: answered with `status` and `length` bytes of text,
    /// or no answer was wanted. To be called *after* the answer is sent: a crash in between then means one
    /// answer too many and not one too few.
    pub fn answered(&self, request: u64, status: i32, length: usize) {
        let mut writer = self.lock();
        let record = writer.close(request, status, length, None);
        writer.write(&[record]);
    }

    /// The helper of `job`, which is named by the first request that it was for, has ended: `ran` is how
    /// long it did, unless that is written down already or none was started. Those of its requests are done
    /// with that `requests` lists.
    pub fn finished(
        &self,
        job: u64,
        ran: Option<Duration>,
        status: i32,
        length: usize,
        requests: impl IntoIterator<Item = u64>,
    ) {
        let ended = ran.map(|ran| {
            let micros = ran.as_micros().try_into().unwrap_or(u64::MAX);
            Record::now(Event::Ended(Ended { job, status, micros }))
        });
        let mut writer = self.lock();
        let requests = requests.into_iter();
        let answered = requests.map(|request| writer.close(request, status, length, Some(job)));
        let records: Vec<_> = ended.into_iter().chain(answered).collect();
        if !records.is_empty() {
            writer.write(&records);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Writer {
    dir: PathBuf,
    limit: u64,
    file: File,
    /// Bytes in the file, what was carried over not counted: or else many open requests would have
    /// it rotated with each record.
    size: u64,
    started: Record,
    /// Requests accepted but not answered.
    open: BTreeMap<u64, Record>,
    /// The next request's number.
    next: u64,
    /// Kept for its room.
    line: Vec<u8>,
    /// Whether the file ends within a line.
    torn: bool,
    /// How many records were lost since writing began to fail.
    failing: Option<u64>,
}

impl Writer {
    /// A request is no longer open.
    fn close(&mut self, request: u64, status: i32, length: usize, job: Option<u64>) -> Record {
        self.open.remove(&request);
        let length = length.try_into().unwrap_or(u64::MAX);
        Record::now(Event::Answered(Answered { request, status, length, job }))
    }

    /// Writes records with one call, or logs why that failed.
    fn write(&mut self, records: &[Record]) {
        match (self.put(records), self.failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(lost)) => {
                self.failing = None;
                info!("the journal in {} can be written again; {lost} records were lost", self.dir.display());
            }
            (Err(why), None) => {
                self.failing = Some(records.len() as u64);
                error!("cannot write the journal in {}: {why}; records are lost", self.dir.display());
            }
            (Err(_), Some(lost)) => self.failing = Some(lost + records.len() as u64),
        }
    }

    fn put(&mut self, records: &[Record]) -> io::Result<()> {
        if self.size >= self.limit {
            self.rotate()?;
        }
        self.line.clear();
        for record in records {
            add_line(&mut self.line, record)?;
        }
        self.size += self.flush()?;
        Ok(())
    }

    /// Begins a new file with what must outlive the old one.
    fn rotate(&mut self) -> io::Result<()> {
        match fs::rename(current(&self.dir), previous(&self.dir)) {
            // Someone has removed it, or making it has failed before: it is made anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = append(&current(&self.dir))?;
        self.torn = false;
        self.size = 0;
        self.line.clear();
        for record in std::iter::once(&self.started).chain(self.open.values()) {
            add_line(&mut self.line, &Record { carried: true, ..record.clone() })?;
        }
        self.flush().map(drop)
    }

    /// Writes `line` with one call; returns how many bytes that were.
    fn flush(&mut self) -> io::Result<u64> {
        if self.torn {
            self.line.insert(0, b'\n');
        }
        let written = self.file.write(&self.line)?;
        self.torn = written < self.line.len();
        if self.torn {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "only a part of the line was written"));
        }
        Ok(written as u64)
    }
}

fn add_line(line: &mut Vec<u8>, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *line, record)?;
    line.push(b'\n');
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Where records go on a file system that takes no new file: service goes on without them.
fn nowhere(dir: &Path, error: io::Error) -> io::Result<File> {
    if !matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull) {
        return Err(error);
    }
    error!("requests are not recorded: {}", Unusable { dir: dir.to_owned(), error });
    File::options().write(true).open("/dev/null")
}

/// What a writer goes on from.
struct Past {
    open: BTreeMap<u64, Record>,
    next: u64,
    torn: bool,
}

fn recover(mut reader: Reader, boot_id: &str) -> (Recovered, Past) {
    let mut recovered = Recovered::default();
    let mut past = Past { open: BTreeMap::new(), next: 1, torn: false };
    for result in reader.by_ref() {
        match result {
            Ok(record) => past.take(record, &mut recovered.previous),
            Err(problem) => recovered.problems.push(problem),
        }
    }
    let torn = reader.torn();
    past.torn = torn.is_some();
    recovered.problems.extend(torn);
    if recovered.previous.as_ref().is_some_and(|previous| previous.boot_id != boot_id) {
        // Their senders are gone with the machine's last run.
        past.open.clear();
    }
    recovered.requests = past.open.values().filter_map(accepted).collect();
    (recovered, past)
}

impl Past {
    fn take(&mut self, record: Record, previous: &mut Option<Started>) {
        match &record.event {
            Event::Started(started) => {
                if previous.as_ref().is_some_and(|previous| previous.boot_id != started.boot_id) {
                    self.open.clear();
                }
                *previous = Some(started.clone());
            }
            Event::Accepted(accepted) => {
                let request = accepted.request;
                // Any other number is damage, and must not be the last one that there can be.
                if request < MAX_REQUEST {
                    self.next = self.next.max(request + 1);
                }
                self.open.insert(request, record);
            }
            Event::Answered(answered) => {
                self.open.remove(&answered.request);
            }
            Event::Began(_) | Event::Ended(_) => {}
        }
    }
}

fn accepted(record: &Record) -> Option<Accepted> {
    match &record.event {
        Event::Accepted(accepted) => Some(accepted.clone()),
        _ => None,
    }
}
