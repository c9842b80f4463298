//! The unprivileged half: has the kernel put each message into the ring, and passes on what makes sense. It
//! alone reads requests, and can do nothing else.
#![forbid(unsafe_code)]

use super::batch::Batch;
use super::told::{SetUp, Told, receive_set_up};
use super::{log_pipe, sandbox};
use crate::order::message::Served;
use crate::order::ring::{Ring, Writer};
use crate::queue::memory::Memory;
use ipc_channel::ipc::IpcReceiver;
use kerneld_protocol::queue::{CAPACITY, Queue};
use log::{LevelFilter, warn};
use nix::errno::Errno;
use nix::sys::prctl;
use signal_hook::consts::{SIGHUP, SIGUSR1};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError, RwLock};

/// What may change while requests are read.
struct Orders {
    served: RwLock<Served>,
    /// Whether to end once nothing more waits.
    ending: AtomicBool,
}

/// Reads requests until it is told to stop; then passes on what is there, and ends. `sockets` is the folder
/// where it listens for the executor.
///
/// # Errors
/// A sentence: a hardening step failed, or the queue or the executor is gone.
pub(crate) fn run(sockets: &Path) -> Result<(), String> {
    log_pipe::write_to_stderr(LevelFilter::Info);
    sandbox::end_with_parent()?;
    // For ps: the program's own name is that of a link in /proc.
    prctl::set_name(c"kerneld-intake")
        .map_err(|errno| format!("cannot set the process name: {}", errno.desc()))?;
    let (receiver, set_up) = receive_set_up(sockets)?;
    let ring = Memory::attach(set_up.memory).map_err(|error| error.to_string())?.ring();
    // A signal only ends a wait, so that the executor's words are looked at.
    // SIGHUP is for the executor, and must not end us where a script sends it to all that is called kerneld.
    for signal in [SIGUSR1, SIGHUP] {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| format!("cannot listen for signals: {error}"))?;
    }
    sandbox::leave_file_system()?;
    let served = Served::new(set_up.only_type, set_up.persist);
    let orders = Arc::new(Orders { served: RwLock::new(served), ending: AtomicBool::new(false) });
    listen(receiver, Arc::clone(&orders));
    sandbox::lock_in(&set_up)?;
    let mut intake = Intake::new(ring, &set_up, orders);
    intake.pass_on_what_was_left();
    ring.set_ready(true);
    intake.serve()
}

/// Notes what the executor says, until it has gone.
fn listen(receiver: IpcReceiver<Told>, orders: Arc<Orders>) {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let _ = tell.send(());
        while let Ok(word) = receiver.recv() {
            match word {
                Told::Persist(numbers) => {
                    orders.served.write().unwrap_or_else(PoisonError::into_inner).persist = numbers;
                }
                Told::Stop => orders.ending.store(true, Ordering::SeqCst),
                Told::SetUp(_) => warn!("set up twice: ignored"),
            }
        }
        std::process::exit(1);
    });
    // A thread makes system calls as it starts that the filter, which comes next, would end us for.
    let _ = told.recv();
}

struct Intake {
    ring: Ring<'static>,
    writer: Writer<'static>,
    queue: Queue,
    orders: Arc<Orders>,
    batch: Batch,
    text: Box<[u8; CAPACITY]>,
}

impl Intake {
    fn new(ring: Ring<'static>, set_up: &SetUp, orders: Arc<Orders>) -> Self {
        let writer = Writer::new(ring, set_up.position);
        let batch = Batch::new(orders.served.read().unwrap_or_else(PoisonError::into_inner).select);
        let (queue, text) = (Queue::from_id(set_up.queue), Box::new([0; CAPACITY]));
        Intake { ring, writer, queue, orders, batch, text }
    }

    /// An intake that was killed may have received a message and not passed it on.
    fn pass_on_what_was_left(&mut self) {
        if let Some((mtype, seen)) = self.writer.left_behind(&mut self.text) {
            let length = self.served().length(mtype, &self.text, seen);
            self.pass_on(length);
        }
    }

    fn serve(&mut self) -> Result<(), String> {
        loop {
            let Some(memory) = self.writer.vacancy() else { continue };
            let (ending, asked) = (self.orders.ending.load(Ordering::SeqCst), self.ring.asked());
            let patient = !ending && asked == self.ring.emptied();
            let (select, wait) = self.batch.next(patient);
            match self.queue.receive_into(select, memory, wait) {
                Ok(length) => self.pass_on(length),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOMSG) if self.batch.is_over() => {
                    self.ring.set_emptied(asked);
                    if ending {
                        return Ok(());
                    }
                }
                Err(Errno::ENOMSG) => {}
                Err(errno) => return Err(format!("cannot read the queue: {}", errno.desc())),
            }
        }
    }

    /// Passes on the message in the ring, if it is one that somebody can be answered to.
    fn pass_on(&mut self, length: usize) {
        let served = self.served();
        let text = &mut self.text[..length];
        let mtype = self.writer.read(text);
        let order = served.order(mtype, text);
        self.batch.took(mtype);
        match order {
            Ok(_) => self.writer.publish(length),
            Err(why) => {
                warn!("dropped a message of type {mtype} that cannot be answered: {why}");
                self.writer.discard();
            }
        }
    }

    fn served(&self) -> Served {
        *self.orders.served.read().unwrap_or_else(PoisonError::into_inner)
    }
}
