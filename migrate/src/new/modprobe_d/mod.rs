//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

mod boot;
mod files;
mod hazards;
mod installs;
mod lines;
mod lists;
mod names;
mod options;
pub(crate) mod words;

pub use files::MODULES_LOAD;
pub(crate) use files::files;
