//! The ring: slots of memory that outlive both processes, into which the kernel itself puts each message.
//!
//! A reader that is killed loses what it holds in memory of its own, and the kernel hands a message even to
//! a reader that is being killed. So the intake has `msgrcv` copy straight into a slot here, and the executor
//! frees the slot once the journal has the request. Both ends may die at any instruction.
//!
//! Each slot has a *turn*: the position of the message that it holds or will hold, and whether that message
//! has been passed on. Turns change by one store, so there is no state in between. What the executor reads it
//! copies first and checks then: whoever has taken the intake over can write anything here at any time.
#![forbid(unsafe_code)]

mod bell;
mod layout;
mod reader;
mod slot;
mod writer;

pub(crate) use reader::Reader;
#[cfg(test)]
pub(crate) use slot::FILL;
pub(crate) use writer::Writer;

pub(crate) use layout::{Position, Ring, WORDS};

#[cfg(test)]
mod tests;
