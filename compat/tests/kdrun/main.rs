//! `kdrun` with real C programs, real queues and a real kernel.

/// Where this crate is.
const COMPAT: &str = env!("CARGO_MANIFEST_DIR");

#[path = "../c/mod.rs"]
mod c;
mod support;

mod access;
mod answers;
mod endurance;
mod transparency;
