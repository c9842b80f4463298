//! Loaded modules: what the kernel says of them, their saved parameters, and the sweep of idle ones.
#![forbid(unsafe_code)]

pub(crate) mod arrivals;
pub(crate) mod autoclean;
pub(crate) mod care;
pub(crate) mod kernel;
pub(crate) mod parameters;
pub(crate) mod store;
