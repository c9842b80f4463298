//! The SysV queue as the daemon's own: who may use it, the answers on it, and what strangers leave there.
#![forbid(unsafe_code)]

pub(crate) mod answers;
pub(crate) mod doubts;
pub(crate) mod foreign;
mod listeners;
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod ownership;
