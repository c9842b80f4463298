//! The rim to the kernel's seccomp user notification (seccomp(2), seccomp_unotify(2)).
//! Touches the calling process's filters and the notification descriptor, nothing else.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use libc::{
    SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, c_ulong, seccomp_notif_addfd,
    seccomp_notif_resp, sock_filter,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys;

/// What all kernels with a listener know. The filter is not a sandbox, so the program needs none of
/// the speculation brakes that kernels before 5.16 tie to a filter: "full speed" includes those.
const FLAGS: c_ulong = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
/// Linux 5.19: once the supervisor has a call, only a deadly signal ends the wait. The old
/// `msgget` never returned EINTR, and programs of its time do not expect it.
const FLAGS_5_19: c_ulong = FLAGS | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

/// Puts the calling process under `filter` and returns the descriptor on which its notifications
/// arrive (close-on-exec). Sets no_new_privs only where the kernel asks for it, which it does of
/// all who lack CAP_SYS_ADMIN.
///
/// # Errors
/// EBUSY under another supervisor; EINVAL or ENOSYS on a kernel without the feature or older than
/// 5.9 (whose listeners are not told when the last process is gone); else as in seccomp(2).
pub(super) fn install(filter: &[sock_filter]) -> Result<OwnedFd, Errno> {
    let listener = match newest_flags(filter) {
        Err(Errno::EACCES) => {
            nix::sys::prctl::set_no_new_privs()?;
            newest_flags(filter)
        }
        other => other,
    }?;
    tells_of_the_last_exit(&listener)?;
    Ok(listener)
}

fn newest_flags(filter: &[sock_filter]) -> Result<OwnedFd, Errno> {
    match sys::set_filter(filter, FLAGS_5_19) {
        Err(Errno::EINVAL) => sys::set_filter(filter, FLAGS),
        other => other,
    }
}

/// A listener is told of its last process's end (POLLHUP) since Linux 5.9, which is also the
/// release of this ioctl: it answers that -1 is not a descriptor, where older kernels do not know the ioctl.
fn tells_of_the_last_exit(listener: &OwnedFd) -> Result<(), Errno> {
    let nothing = seccomp_notif_addfd { id: 0, flags: 0, srcfd: u32::MAX, newfd: 0, newfd_flags: 0 };
    match sys::notif_addfd(listener, &nothing) {
        Err(Errno::EBADF | Errno::ENOENT) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether an outer `kdrun` answers this process's calls. Asks for a key that no queue has: the
/// kernel's own answer would be "no such entry", the supervisor's is a queue, EPERM or ENODEV.
pub(super) fn already_answered() -> bool {
    const NOBODYS_KEY: libc::key_t = 0x6e6f_6e65;
    sys::msgget(NOBODYS_KEY, kerneld_protocol::queue::IPC_KERNELD_OLD) != Err(Errno::ENOENT)
}

/// What a listener has to tell.
pub(super) enum Event {
    /// A process waits for an answer.
    Call,
    /// The last process under the filter is gone.
    LastExit,
    /// Nothing within the time given.
    Timeout,
}

/// One `msgget` that waits for its answer.
pub(super) struct Call {
    id: u64,
    /// The calling thread, as this process sees it; 0 when it is outside our pid namespace.
    pub thread: u32,
}

/// The supervisor's end.
pub(super) struct Listener(OwnedFd);

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    /// Sleeps until there is something to tell, at most for `limit`.
    ///
    /// # Errors
    /// What poll(2) says, but not EINTR.
    pub(super) fn next_event(&self, limit: Option<Duration>) -> Result<Event, Errno> {
        let timeout = match limit {
            None => PollTimeout::NONE,
            Some(limit) => limit.try_into().unwrap_or(PollTimeout::MAX),
        };
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let told = fds[0].revents().unwrap_or(PollFlags::empty());
        Ok(if told.contains(PollFlags::POLLIN) {
            Event::Call
        } else if told.is_empty() {
            Event::Timeout
        } else {
            Event::LastExit
        })
    }

    /// The next call; none when its caller was killed in the meantime.
    ///
    /// # Errors
    /// What ioctl(2) says, but not ENOENT and EINTR.
    pub(super) fn receive(&self) -> Result<Option<Call>, Errno> {
        match sys::notif_recv(self) {
            Ok(call) => Ok(Some(Call { id: call.id, thread: call.pid })),
            Err(Errno::ENOENT | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the call's thread still sleeps in it, and was not killed.
    pub(super) fn still_waits(&self, call: &Call) -> bool {
        sys::notif_id_valid(self, call.id) != Err(Errno::ENOENT)
    }

    /// Ends the call with a queue id or an errno. No error when the caller has gone in the
    /// meantime: then there is nobody to tell.
    ///
    /// # Errors
    /// What ioctl(2) says, but not ENOENT.
    pub(super) fn answer(&self, call: &Call, result: Result<i32, Errno>) -> Result<(), Errno> {
        let answer = seccomp_notif_resp {
            id: call.id,
            val: result.map_or(0, i64::from),
            error: result.err().map_or(0, |errno| -(errno as i32)),
            flags: 0,
        };
        match sys::notif_send(self, &answer) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
