//! `kdrun`: runs an old program so that its `msgget` with IPC_KERNELD finds the daemon's queue.
#![no_main] // kdrun::c_main says why

kdrun::c_main!(kdrun::start);
