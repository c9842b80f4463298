//! Where the daemon runs: on one CPU, so that a request can pass from thread to thread without waking another
//! CPU, which in a virtual machine costs more than all the work on the way. Helpers run on any CPU that the
//! daemon was given.
#![forbid(unsafe_code)]

use log::debug;
use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The CPUs that the daemon was given, and the one of them that it stays on; `None` where that could not be
/// arranged: then everything runs anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus(Option<(CpuSet, CpuSet)>);

impl Cpus {
    /// Keeps the calling thread, and the threads and processes that it starts from now on, on the CPU
    /// that it runs on.
    pub(crate) fn stay_on_one() -> Self {
        let narrow = || -> Result<_, Errno> {
            let given = sched_getaffinity(None)?;
            let mut one = CpuSet::new();
            one.set(sched_getcpu());
            sched_setaffinity(None, &one)?;
            Ok((given, one))
        };
        Cpus(narrow().inspect_err(|errno| debug!("not staying on one CPU: {errno}")).ok())
    }

    /// Lets the calling thread, and what it starts, run on any CPU again.
    pub(crate) fn spread(&self) {
        if let Cpus(Some((given, _))) = self {
            // Some may have been taken from us since; then one is better than none.
            let _ = sched_setaffinity(None, given);
        }
    }

    /// The CPUs that the daemon was given, if it stays on one of them.
    pub(crate) fn given(&self) -> Option<CpuSet> {
        self.0.map(|(given, _)| given)
    }

    /// Does something that starts a process which may run on any CPU.
    pub(crate) fn while_spread<T>(&self, start: impl FnOnce() -> T) -> T {
        self.spread();
        let started = start();
        if let Cpus(Some((_, one))) = self {
            let _ = sched_setaffinity(None, one);
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn count() -> u32 {
        sched_getaffinity(None).unwrap().count()
    }

    #[test]
    fn threads_of_one_that_stays_can_be_spread() {
        thread::spawn(|| {
            let given = count();
            let cpus = Cpus::stay_on_one();
            assert_eq!(count(), 1);
            assert_eq!(thread::spawn(count).join().unwrap(), 1);
            assert_eq!(cpus.while_spread(|| thread::spawn(count).join().unwrap()), given);
            assert_eq!(count(), 1);
            cpus.spread();
            assert_eq!(count(), given);
        })
        .join()
        .unwrap();
    }
}
