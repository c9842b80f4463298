//! The unprivileged process that reads the queue, and how the executor starts it.
#![forbid(unsafe_code)]

pub(crate) mod batch;
pub(crate) mod log_pipe;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod sandbox;
pub(crate) mod silence;
pub(crate) mod source;
pub(crate) mod told;
pub(crate) mod user;
