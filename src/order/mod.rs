//! What crosses the wall between the two processes: the ground floor, pure.
#![forbid(unsafe_code)]

pub mod action;
pub mod judge;
pub mod message;
pub mod name;
pub(crate) mod ring;
pub mod task;
