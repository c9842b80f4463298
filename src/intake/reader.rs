//! The unprivileged half: reads the queue, makes requests of messages, and passes on what the policy
//! lets through. It alone reads requests, and can do nothing else.
#![forbid(unsafe_code)]

use crate::intake::sandbox;
use crate::order::action::{FromIntake, Order};
use crate::order::judge::{PersistNumbers, judge};
use ipc_channel::ipc::IpcSender;
use kerneld_persist::record::decode_set;
use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::request::{Malformed, Request};
use log::warn;
use nix::errno::Errno;
use nix::sys::prctl;
use signal_hook::consts::SIGTERM;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an intake needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The channel to the executor.
    pub channel: String,
    /// The queue's id.
    pub queue: i32,
    /// Which requests to take.
    pub select: Select,
    /// The numbers of the persistent settings' requests.
    pub persist: PersistNumbers,
    /// User and group to become, if the executor may choose.
    pub become_user: Option<(u32, u32)>,
}

/// Reads requests until SIGTERM; then passes on what is there, and ends.
///
/// # Errors
/// A sentence: a hardening step failed, or the queue or the executor is gone.
pub fn run(setup: &Setup) -> Result<(), String> {
    let asked_to_end = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&asked_to_end))
        .map_err(|error| format!("cannot listen for SIGTERM: {error}"))?;
    // For ps: the program's own name is that of a link in /proc.
    prctl::set_name(c"kerneld-intake").map_err(|errno| format!("cannot name itself: {}", errno.desc()))?;
    let executor = IpcSender::connect(setup.channel.clone())
        .map_err(|error| format!("cannot reach the executor: {error}"))?;
    let tell = |message| executor.send(message).map_err(|error| format!("the executor is gone: {error}"));
    end_with_executor();
    // The channel's first use makes system calls that it needs no more later.
    tell(FromIntake::Hello)?;
    sandbox::lock_in(setup.become_user)?;
    tell(FromIntake::Ready)?;
    let queue = Queue::from_id(setup.queue);
    let mut buffer = Buffer::default();
    loop {
        let ending = asked_to_end.load(Ordering::Relaxed);
        match next_message(queue, setup.select, &mut buffer, ending) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(format!("cannot read the queue: {}", errno.desc())),
        }
        match read(&buffer, setup) {
            Ok(order) => tell(FromIntake::Order(order)).inspect_err(|_| put_back(queue, &buffer))?,
            Err(why) => warn!("dropped a message of type {} that cannot be answered: {why}", buffer.mtype()),
        }
    }
}

/// Ends this process as soon as the executor is gone, which holds the other end of standard input and
/// never writes. (A parent-death signal would follow the thread that started us, not the process.)
fn end_with_executor() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(());
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    // A thread makes system calls as it starts that the filter, which comes next, would end us for.
    let _ = told.recv();
}

/// Leaves a request that came just as the executor died to its successor.
fn put_back(queue: Queue, buffer: &Buffer) {
    if let Err(errno) = queue.send(buffer.mtype(), buffer.mtext()) {
        warn!("lost a request of type {}: {}", buffer.mtype(), errno.desc());
    }
}

/// False when there is none and none is waited for.
fn next_message(queue: Queue, select: Select, buffer: &mut Buffer, ending: bool) -> Result<bool, Errno> {
    if ending {
        return queue.try_receive(select, buffer);
    }
    queue.receive(select, buffer).map(|()| true)
}

/// Makes an order of a message. An answer under an id that we would take for a request ourselves is
/// no answer to anybody.
fn read(buffer: &Buffer, setup: &Setup) -> Result<Order, Malformed> {
    let mut request = Request::parse(buffer.mtype(), buffer.mtext())?;
    if buffer.mtype() == setup.persist.set {
        request = Request::of(buffer.mtype(), decode_set(buffer.mtext()).map_err(Malformed::Short)?)?;
    }
    let reply = request.reply;
    if reply.wanted() && setup.select.takes(i64::from(reply.id)) {
        return Err(Malformed::Id(i64::from(reply.id)));
    }
    let verdict = judge(&request, setup.persist);
    Ok(Order { reply, command: request.command, text: request.text.to_vec(), verdict })
}
