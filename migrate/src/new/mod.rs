//! What is written, for each target.

pub(crate) mod commands;
pub(crate) mod compose;
pub(crate) mod daemon;
pub(crate) mod modprobe_d;
pub(crate) mod modutils;
pub mod output;
