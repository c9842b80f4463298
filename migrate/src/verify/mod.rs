//! `verify`: the new files held against the old meaning, with the real modprobe as the judge.
//!
//! What is expected comes from the old configuration's meaning; what is, from `modprobe -R` and `-D` on the new
//! files and from the kernel's own index. `-n -v` alone would prove nothing: it is silent about dead targets.

mod compare;
mod expected;
pub(crate) mod explain;
mod judge;
mod layout;
pub mod modprobe;
mod verdict;

pub use compare::verify;
pub use layout::lay_out;
pub use verdict::{Report, Row, Verdict};
