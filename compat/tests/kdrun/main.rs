//! `kdrun` with real C programs, a real kerneld and a real kernel.

/// Where this crate is.
const COMPAT: &str = env!("CARGO_MANIFEST_DIR");

#[path = "../c/mod.rs"]
mod c;
#[path = "../daemon/mod.rs"]
mod daemon;
mod support;

mod access;
mod answers;
mod endurance;
mod transparency;
