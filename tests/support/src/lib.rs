//! What the tests of several packages share: what to do without a tool, a key of one's own, how long to wait.
//!
//! * [`compiler`]: compiling the C programs of the tests; [`tree`]: writing a tree of files;
//! * [`process`]: other processes: finding and ending them;
//! * [`daemon`]: a real kerneld in a place of its own;
//! * [`answers`]: what the real kerneld of old answered.

pub mod answers;
pub mod compiler;
pub mod daemon;
pub mod process;
mod skip;
pub mod tree;
mod wait;

pub use skip::{as_root, have, have_program, required};
pub use wait::{PATIENCE, wait_until};

/// A key that no other test has, nor a kerneld that somebody uses.
#[must_use]
pub fn fresh_key() -> i32 {
    kerneld_protocol::queue::Queue::free_key()
}
