//! The unprivileged process that reads the queue, and how the executor starts it.
#![forbid(unsafe_code)]

pub(crate) mod batch;
pub(crate) mod log_pipe;
pub mod memory;
pub mod process;
pub mod reader;
pub mod sandbox;
pub(crate) mod silence;
pub(crate) mod sockets;
pub(crate) mod source;
pub(crate) mod told;
pub mod user;
