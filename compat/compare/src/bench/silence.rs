//! Standard streams for helpers that we start ourselves: as those of a daemon's, on /dev/null. Not set
//! up for each helper, which would make the limit slower than it is.
#![forbid(unsafe_code)]

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::File;
use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// While it lives, standard input, output and error are /dev/null.
pub struct Silence([OwnedFd; 3]);

impl Silence {
    /// Begins it.
    ///
    /// # Errors
    /// A sentence: the system has no /dev/null, or no descriptor left.
    pub fn begin() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot put standard streams aside: {error}");
        let keep = |stream: BorrowedFd<'_>| stream.try_clone_to_owned().map_err(failed);
        let kept = [keep(stdin().as_fd())?, keep(stdout().as_fd())?, keep(stderr().as_fd())?];
        let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
        let streams = [null.as_fd(); 3];
        put(streams).map_err(|errno| failed(errno.into()))?;
        Ok(Silence(kept))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let [stdin, stdout, stderr] = &self.0;
        let _ = put([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
    }
}

fn put([stdin, stdout, stderr]: [BorrowedFd<'_>; 3]) -> nix::Result<()> {
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)
}
