//! modprobe.d for today's kernels, by recipes that were tried with modprobe 30.

mod boot;
mod busybox;
mod conflicts;
mod files;
mod hazards;
mod installs;
mod lines;
mod lists;
mod names;
mod options;
pub(crate) mod words;

pub(crate) use files::files;
pub use files::{EARLY, LATE, MODULES_LOAD};
