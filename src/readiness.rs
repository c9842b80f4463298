//! Tells whoever started the daemon that it serves requests: a service manager by `NOTIFY_SOCKET`
//! (sd_notify(3)), anything else by a line on the descriptor that `--ready-fd` names.
#![forbid(unsafe_code)]

use log::warn;
use sd_notify::NotifyState;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};

/// Who gets the news. Dropped without [`Readiness::tell`], it closes the descriptors: the readers see their end.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    descriptors: Vec<File>,
}

impl Readiness {
    /// Has a line written to `descriptor`, too.
    pub(crate) fn by(&mut self, descriptor: File) {
        self.descriptors.push(descriptor);
    }

    /// The descriptors' numbers, which have to stay open.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        self.descriptors.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Says that requests are served. A reader that is gone needs no news.
    pub(crate) fn tell(self) {
        for mut descriptor in self.descriptors {
            let _ = descriptor.write_all(b"ready\n");
        }
        let states = [NotifyState::Ready, NotifyState::MainPid(std::process::id())];
        if let Err(error) = sd_notify::notify(false, &states) {
            warn!("cannot tell the service manager that requests are served: {error}");
        }
    }
}
