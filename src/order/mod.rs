//! What crosses the wall between the two processes: the ground floor, pure.
#![forbid(unsafe_code)]

pub(crate) mod action;
pub(crate) mod judge;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod ring;
pub(crate) mod task;
