//! Starting the supervisor, and handing it the listener. Forks, and touches what a detached process
//! must not keep of the one it came from: descriptors, directory, session.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::options::{Failure, Options};
use crate::seccomp::Listener;
use crate::{supervisor, sys};

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
    // A program may be started with its standard descriptors closed: ours must not sit in their place, where the
    // supervisor will put /dev/null.
    let (ours, theirs) = (sys::above_stdio(ours)?, sys::above_stdio(theirs)?);
    // The child's copy of `ours` is closed with all the rest, in `detach`.
    sys::detached(|| supervise(theirs, options))?;
    Ok(Supervisor(ours))
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
        sys::ignore(ignored)?;
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
    let kept = kept.as_raw_fd();
    // Of the descriptors that Rust code owns in this process, only `kept` is used again.
    if kept > 3 {
        sys::close_range(3, kept.cast_unsigned() - 1)?;
    }
    sys::close_range(kept + 1, u32::MAX)
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
    Ok(message.cmsgs()?.find_map(sys::brought).map(Listener::from))
}
