//! A real old kerneld as a subject, or anything that serves the channel. It runs under `kdrun`'s
//! mechanism, so that its `msgget` finds our queue, and in a root directory of its own ([`root`]).
#![forbid(unsafe_code)]

mod keeper;
mod layouts;
mod program;
mod root;

pub use keeper::{KEEPER, STARTER, keeper, starter};
pub(crate) use layouts::spoken;
pub use program::Old;
