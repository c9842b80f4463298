//! What is written, for each target.

pub(crate) mod commands;
pub mod daemon;
pub mod modprobe_d;
pub(crate) mod modutils;
pub mod output;
