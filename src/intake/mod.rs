//! The unprivileged process that reads the queue, and how the executor starts it.
#![forbid(unsafe_code)]

pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod sandbox;
pub(crate) mod user;
