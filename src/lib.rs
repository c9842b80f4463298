//! The present: kerneld's requests carried out as kmod would, by one direct execve of modprobe.
//!
//! Two processes: the [`intake`] reads the queue and can do nothing else; the [`executor`] runs
//! helpers and takes from the intake only what [`action`] spells out. [`daemon`] is the story.

pub mod action;
pub mod autoclean;
pub mod channel;
pub mod cli;
pub mod config;
pub mod cpus;
pub mod daemon;
pub mod delays;
pub mod demo;
pub mod drivers;
pub mod executor;
pub mod helper;
pub mod intake;
pub mod intake_process;
pub mod jobs;
pub mod kmod;
pub mod modules;
pub mod outbox;
pub mod policy;
pub mod recorder;
pub mod report;
pub mod rules;
pub mod sandbox;
pub mod settings;
pub mod spawn;
pub mod stale;
pub mod status;
pub mod sys;
