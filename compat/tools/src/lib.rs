//! What kdsend, kdstat and admpersist share.
//!
//! * [`tool`]: the options that say where the queue is, and the exit statuses.
#![forbid(unsafe_code)]

pub mod tool;
