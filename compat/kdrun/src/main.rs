//! `kdrun`: runs an old program so that its `msgget` for kerneld's channel finds the daemon's queue.
#![no_main] // kdrun::c_main says why

kdrun::c_main!(kdrun::start);
