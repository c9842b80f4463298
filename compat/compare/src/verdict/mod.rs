//! The verdict: what both sides did, side by side, and whether they may differ.
//!
//! * [`cells`]: each thing that was seen, on both sides;
//! * [`differences`]: what may differ, and why;
//! * [`suite`]: all scenarios; [`output`]: the report.
#![forbid(unsafe_code)]

pub mod cells;
pub mod differences;
pub mod output;
pub mod suite;
