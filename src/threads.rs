//! Threads whose panics do not go unnoticed: somebody may be waiting for what they were to do.
#![forbid(unsafe_code)]

use log::warn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Does `work` in a thread of this name; `panicked` is called there if it panics.
///
/// # Errors
/// When the system has no thread left.
pub(crate) fn start(
    name: &str,
    work: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(|| guarded(work, panicked)).map(drop)
}

/// The same without fail: where there is no thread to be had, `work` is done here and now. Not to be
/// called with anything locked.
pub(crate) fn start_or_do(
    name: &str,
    work: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce() + Send + 'static,
) {
    let both = Arc::new(Mutex::new(Some((work, panicked))));
    let take = |both: &Mutex<Option<_>>| both.lock().unwrap_or_else(PoisonError::into_inner).take();
    let handed = Arc::clone(&both);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some((work, panicked)) = take(&handed) {
            guarded(work, panicked);
        }
    });
    if let Err(error) = started {
        warn!("cannot start a thread ({error}): what comes next has to wait");
        if let Some((work, panicked)) = take(&both) {
            guarded(work, panicked);
        }
    }
}

fn guarded(work: impl FnOnce(), panicked: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        panicked();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_panic_is_told() {
        let (told, tells) = channel();
        start_or_do("test", || panic!("as this test wants"), move || told.send(1).unwrap());
        assert_eq!(tells.recv(), Ok(1));
        let (told, tells) = channel();
        start("test", || panic!("as this test wants"), move || told.send(2).unwrap()).unwrap();
        assert_eq!(tells.recv(), Ok(2));
    }
}
