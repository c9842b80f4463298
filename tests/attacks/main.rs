//! What hostile programs and killed processes can do to the daemon: each row of docs/threats.md. The built
//! daemon, real queues with keys of their own, other users where the tests run as root.

#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "the daemon's own tests use the rest")]
mod support;

mod answers;
mod captured;
mod deaths;
mod floods;
mod kills;
mod ring;
