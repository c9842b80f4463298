//! The tools that modutils had for kerneld, and what they share.
//!
//! * [`kdsend`], [`kdstat`], [`admpersist`]: the programs;
//! * [`tool`]: the options that say where the queue is, and the exit statuses.
#![forbid(unsafe_code)]

pub mod admpersist;
pub mod kdsend;
pub mod kdstat;
pub mod tool;
