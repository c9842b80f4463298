//! `kdrun` with real C programs, a real kerneld and a real kernel.

mod support;

mod access;
mod answers;
mod endurance;
mod guests;
mod transparency;
