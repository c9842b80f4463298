//! The SysV queue as the daemon's own: who may use it, the answers on it, and what strangers leave there.
#![forbid(unsafe_code)]

pub mod foreign;
pub mod outbox;
pub mod ownership;
