//! The present: kerneld's requests carried out as kmod would, by one direct execve of modprobe.
//!
//! Two processes: the [`intake`] reads the queue and can do nothing else; the [`executor`] runs
//! helpers and takes from the intake only what [`order`] spells out. [`daemon`] is the story.

#![warn(unreachable_pub)]

mod cli;
mod config;
mod daemon;
mod demo;
mod executor;
mod helper;
mod intake;
mod logging;
mod modules;
mod order;
mod queue;
mod readiness;
mod state_dir;
mod sys;
mod threads;

pub use cli::{command, main};

/// What the benchmarks and the tests of the whole program look at; no interface for others.
#[doc(hidden)]
pub mod inside {
    pub use crate::config::{AT_ONCE, BUSY_LIMIT};
    pub use crate::executor::jobs::{Job, JobId, Jobs, Submitted};
    pub use crate::intake::sandbox::{ALLOWED, CHECKED};
    pub use crate::order::action::Action;
    pub use crate::order::judge::{PersistNumbers, judge};
    pub use crate::order::name::{ModuleName, Refusal};
    pub use crate::order::task::{Task, Waiter};
}
