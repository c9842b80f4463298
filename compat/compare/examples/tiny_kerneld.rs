//! A small kerneld of the old kind, for tests of `--old PATH`: makes itself a daemon, asks `msgget`
//! for the channel, and serves loads and releases, one after another.

use kerneld_protocol::queue::{Buffer, IPC_KERNELD_NEW, Queue, Select};
use kerneld_protocol::request::{Command, Request};
use nix::unistd::{ForkResult, fork, setsid};
use std::process::{ExitCode, Stdio};

fn main() -> ExitCode {
    // SAFETY: there is one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            println!("Starting kerneld, version 0 (pid {child})");
            ExitCode::SUCCESS
        }
        Ok(ForkResult::Child) => serve().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> Option<()> {
    setsid().ok()?;
    // SAFETY: msgget takes plain integers.
    let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o700 | libc::IPC_CREAT | IPC_KERNELD_NEW) };
    let queue = Queue::from_id(id);
    let mut buffer = Buffer::default();
    loop {
        queue.receive(Select::UpTo(255), &mut buffer).ok()?;
        let Ok(request) = Request::parse(buffer.mtype(), buffer.mtext()) else { continue };
        let status = run(&request);
        if request.reply.wanted() {
            queue.send(request.reply.id.into(), &request.reply.answer(status, b"")).ok()?;
        }
    }
}

fn run(request: &Request) -> i32 {
    let option = match request.command {
        Command::RequestModule => "-k",
        Command::ReleaseModule => "-r",
        _ => return 1,
    };
    let mut modprobe = std::process::Command::new("/sbin/modprobe");
    modprobe
        .args([option, "-s", &String::from_utf8_lossy(request.text)])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    modprobe.status().ok().and_then(|status| status.code()).unwrap_or(1)
}
