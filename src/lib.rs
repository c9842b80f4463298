//! The present: kerneld's requests carried out as kmod would, by one direct execve of modprobe.
//!
//! Two processes: the [`intake`] reads the queue and can do nothing else; the [`executor`] runs
//! helpers and takes from the intake only what [`order`] spells out. [`daemon`] is the story.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod executor;
pub mod helper;
pub mod intake;
pub mod logging;
pub mod modules;
pub mod order;
pub mod queue;
pub mod sys;
