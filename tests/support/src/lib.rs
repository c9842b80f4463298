//! What the tests of several packages share: what to do without a tool, a key of one's own, and how long to wait.

mod key;
mod skip;
mod wait;

pub use key::fresh_key;
pub use skip::{as_root, have, have_program, required};
pub use wait::{PATIENCE, wait_until};
