//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

pub mod installs;
pub mod lines;
pub mod lists;
pub mod names;
pub mod options;
