//! Loaded modules: what the kernel says of them, their saved parameters, and the sweep of idle ones.
#![forbid(unsafe_code)]

pub mod arrivals;
pub mod autoclean;
pub mod kernel;
pub mod parameters;
pub mod store;
