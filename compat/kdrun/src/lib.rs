//! `kdrun`: runs an unmodified program so that its `msgget` calls for kerneld's queue find the
//! daemon's queue.
//!
//! A kernel of 1.3.57-2.1.89 answered `msgget(IPC_PRIVATE, 0600 | IPC_KERNELD)` with the id of the
//! one kerneld queue; a kernel since then makes a fresh private queue that nobody reads. A seccomp
//! filter hands just these calls to a supervisor, which answers them as the old kernel did.
//!
//! The process that is `kdrun` *becomes* the program by `execve`, and the supervisor is a detached
//! process beside it. So the program's pid, parent, process group, terminal, signals and exit
//! status are the ones that it would have had without `kdrun`, with nothing in between to pass
//! them on; and the supervisor goes on for children that outlive the program, and ends when the
//! kernel says that no process is left under the filter.

mod admission;
mod arguments;
mod filter;
mod handover;
mod options;
mod program;
mod seccomp;
mod supervisor;
pub mod sys;

pub use admission::Channel;
pub use arguments::{command, start};
pub use options::{Failure, Options};
pub use program::run;
