//! Starting the supervisor, and handing it the listener. Forks, and touches what a detached process
//! must not keep of the one it came from: descriptors, directory, session.

use std::fs::OpenOptions;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use super::seccomp::Listener;
use super::{Failure, Options, supervisor};

/// A supervisor that waits for its listener, and ends without one when this is dropped.
pub(super) struct Supervisor(OwnedFd);

impl Supervisor {
    /// Hands the listener over; this process keeps no descriptor of either.
    pub(super) fn take(self, listener: OwnedFd) -> Result<(), Failure> {
        let fds = [listener.as_raw_fd()];
        sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(b"listener")],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map(drop)
        .map_err(|errno| Failure::ours(format!("the supervisor has gone: {}", errno.desc())))
    }
}

/// Starts the supervisor: a grandchild whose parent is gone at once, so that the program will not
/// find a child that it did not start.
pub(super) fn start_supervisor(options: &Options) -> Result<Supervisor, Failure> {
    detached(options)
        .map_err(|errno| Failure::ours(format!("the supervisor cannot be started: {}", errno.desc())))
}

fn detached(options: &Options) -> Result<Supervisor, Errno> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let (ours, theirs) = (above_stdio(ours)?, above_stdio(theirs)?);
    // SAFETY: this process has one thread, so the child may do whatever the parent might.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // ECHILD: whoever started us ignores SIGCHLD, and the kernel has reaped it.
            let _ = waitpid(child, None);
            Ok(Supervisor(ours))
        }
        ForkResult::Child => {
            drop(ours);
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                supervise(theirs, options);
            }
            // SAFETY: _exit does not return and runs nothing of the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
    }
}

/// A program may be started with its standard descriptors closed: ours must not sit in their place,
/// where the supervisor will put /dev/null.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: F_DUPFD_CLOEXEC made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn supervise(socket: OwnedFd, options: &Options) {
    let ended =
        detach(&socket, options.verbose).and_then(|()| receive_listener(&socket)).and_then(|listener| {
            drop(socket);
            listener.map_or(Ok(()), |listener| supervisor::serve(&listener, options))
        });
    if let Err(errno) = ended {
        supervisor::say(options, format_args!("the supervisor stops: {}", errno.desc()));
    }
}

/// Keeps nothing that others might wait for or trip over: no terminal, no pipe of the program's, no
/// mount. It lasts as long as the last program, so that no signal but SIGKILL ends it.
fn detach(socket: &OwnedFd, keep_stderr: bool) -> Result<(), Errno> {
    setsid()?;
    chdir("/")?;
    for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGPIPE] {
        // SAFETY: ignoring a signal runs no handler.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    if !keep_stderr {
        dup2_stderr(&null)?;
    }
    drop(null);
    close_above_stdio_except(socket)
}

fn close_above_stdio_except(kept: &OwnedFd) -> Result<(), Errno> {
    let kept = kept.as_raw_fd() as u32;
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: of the descriptors that Rust code owns in this process, only `kept` is open.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

/// The listener; none when our starter failed before it had one.
fn receive_listener(socket: &OwnedFd) -> Result<Option<Listener>, Errno> {
    let mut word = [0; 16];
    let mut words = [IoSliceMut::new(&mut word)];
    let mut control = nix::cmsg_space!(i32);
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut words,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel just made these descriptors for us alone.
            let fd = fds.first().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) });
            return Ok(fd.map(Listener::from));
        }
    }
    Ok(None)
}
