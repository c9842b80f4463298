//! The recorder stands in for modprobe and the other helpers: it writes down how it was run, and behaves
//! as it is told.
//!
//! It is whatever program calls [`asked_for`] first thing in its `main`, started under the name [`NAME`]
//! in a folder of its own, which also holds its records. So nothing has to be handed down through the
//! daemon that is observed, and nothing but the build is needed.
//!
//! * [`install`] puts it in place as one helper, [`script`] as many of different names;
//! * [`plan`]: rules for how helpers behave; without a plan the helper's last argument says it ([`run`]);
//! * [`record`]: what it writes down.
#![forbid(unsafe_code)]

mod place;
pub mod plan;
mod play;
pub mod record;
mod words;

pub use place::{GO, NAME, PLAN, install, script};
pub use plan::{Plan, Rule};
pub use play::{asked_for, run};
pub use record::{Event, Record, events, now_ns, runs};
