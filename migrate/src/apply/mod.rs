//! `apply` and `undo`: written ahead in a manifest, each file replaced by one rename.
//!
//! All new files are first written whole beside their places, under names that nobody reads, and synced; then they
//! are renamed, one system call each. A crash before that leaves the old state. A crash within those few
//! microseconds, or while old files are put back, is completed by the next `apply` and taken back by the next
//! `undo`: the manifest holds both states whole before the first file is touched.

mod back;
mod files;
mod flow;
mod folders;
mod forward;
pub(crate) mod manifest;
pub(crate) mod tree;

pub use flow::{Outcome, apply, check_accepted, undo};
pub use manifest::{Observer, open_old_system};
