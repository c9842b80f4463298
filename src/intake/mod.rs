//! The unprivileged process that reads the queue, and how the executor starts it.
#![forbid(unsafe_code)]

pub mod process;
pub mod reader;
pub mod sandbox;
pub mod user;
