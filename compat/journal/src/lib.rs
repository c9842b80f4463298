//! The record of every request and of what became of it: one file, one line of JSON a record.
//!
//! * [`record`]: what a line says, pure;
//! * [`writer`]: the daemon's end, and what it left unanswered when it ended;
//! * [`reader`]: for everyone else, by file and line;
//! * [`follow`]: the same, and then what is written from now on.
//!
//! The file is `journal` in the daemon's state directory. At its size limit it becomes `journal.1`, in
//! place of the one before, and a new `journal` begins with the state that must not be lost: which
//! daemon runs, and which requests are still open. `docs/journal.md` describes the format.

mod files;
pub mod follow;
pub mod reader;
pub mod record;
pub mod writer;

pub use files::{current, previous};
pub use follow::Follow;
pub use reader::{Problem, Reader};
pub use record::{Accepted, Answered, Began, Ended, Event, Record, Started, Text, boot_id};
pub use writer::{DEFAULT_LIMIT, Journal, Recovered, Unusable};
