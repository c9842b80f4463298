//! `kdrun` with real C programs, a real kerneld and a real kernel.

/// Where the header and the C programs are.
const COMPAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[path = "../../../tests/c/mod.rs"]
mod c;
#[path = "../../../tests/daemon/mod.rs"]
mod daemon;
mod support;

mod access;
mod answers;
mod endurance;
mod transparency;
