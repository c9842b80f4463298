//! The journal's records put together: a request with who sent it, what ran and what came of it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kerneld_journal::{Accepted, Event, Record, Text};
use kerneld_protocol::sender::{Evidence, Sender};
use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;

/// Helpers that are remembered: more than can run at once.
const HELPERS: usize = 1000;

/// A request that was answered.
#[derive(Serialize)]
pub struct Done {
    /// When it was accepted, in microseconds since 1970.
    pub at: u64,
    pub request: u64,
    pub command: String,
    pub text: Text,
    pub sender: Option<Sender>,
    /// The 16 bits of the sender's pid that the request carries; none in the old protocol.
    pub pid_field: Option<u16>,
    /// The helper's argv; none when no helper was needed.
    pub ran: Option<Vec<Text>>,
    pub status: i32,
    /// From acceptance to answer, in microseconds.
    pub micros: u64,
}

/// The requests of the journal that are not answered yet, and the helpers.
#[derive(Default)]
pub struct Requests {
    open: BTreeMap<u64, (u64, Accepted)>,
    helpers: BTreeMap<u64, Vec<Text>>,
}

impl Requests {
    /// Takes a record; the request that it says is done, if its beginning is known.
    pub fn take(&mut self, record: Record) -> Option<Done> {
        match record.event {
            Event::Accepted(accepted) => {
                self.open.insert(accepted.request, (record.at, accepted));
            }
            Event::Began(began) => {
                self.helpers.insert(began.job, began.argv);
                if self.helpers.len() > HELPERS {
                    self.helpers.pop_first();
                }
            }
            Event::Answered(answered) => {
                let (at, accepted) = self.open.remove(&answered.request)?;
                let ran = answered.job.and_then(|job| self.helpers.get(&job).cloned());
                return Some(Done::new(at, accepted, ran, answered.status, record.at));
            }
            Event::Started(_) | Event::Ended(_) => {}
        }
        None
    }
}

impl Done {
    fn new(at: u64, accepted: Accepted, ran: Option<Vec<Text>>, status: i32, answered_at: u64) -> Self {
        Done {
            at,
            request: accepted.request,
            command: accepted.command().to_string(),
            pid_field: accepted.reply.sender_pid().map(i16::cast_unsigned),
            text: accepted.text,
            sender: accepted.sender,
            ran,
            status,
            // The clock may have been set back in between.
            micros: answered_at.saturating_sub(at),
        }
    }

    /// `COMMAND[PID]`, with `?` for what is not known or not certain.
    pub fn who(&self) -> String {
        match (&self.sender, self.pid_field) {
            (Some(Sender { pid, comm, evidence }), _) => {
                let unsure = if *evidence == Evidence::Queue { "?" } else { "" };
                format!("{}[{pid}]{unsure}", shown_comm(comm.as_deref()))
            }
            (None, Some(pid)) => format!("?[{pid}]?"),
            (None, None) => "?".to_owned(),
        }
    }

    /// What was asked: `request_module 'ppp'`.
    pub fn what(&self) -> String {
        format!("{} '{}'", self.command, self.text)
    }

    /// The helper's command line.
    pub fn helper(&self) -> String {
        let words = self.ran.iter().flatten().map(Text::to_string);
        words.collect::<Vec<_>>().join(" ")
    }

    /// An exit code, or an errno by name.
    pub fn status_name(&self) -> String {
        match self.status {
            status if status < 0 => match Errno::from_raw(-status) {
                Errno::UnknownErrno => status.to_string(),
                errno => format!("-{errno:?}"),
            },
            status => status.to_string(),
        }
    }
}

/// A command as people see it; a process may give itself any bytes for a name.
pub fn shown_comm(comm: Option<&str>) -> String {
    comm.map_or("?".to_owned(), |comm| comm.escape_debug().to_string())
}

/// A time of the journal on this machine's clock, in a format of `strftime`.
pub fn local_time(micros: u64, format: &str) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    match time {
        Some(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        None => format!("{micros} µs"),
    }
}
