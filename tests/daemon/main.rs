//! The daemon from outside: the built program, a real queue, real helpers.

mod answers;
mod endurance;
mod examples;
mod folding;
mod garbage;
mod helper;
mod layouts;
mod lifecycle;
mod other_language;
mod persist;
mod requests;
mod support;
mod surroundings;
mod trace;
mod watch;
