//! Asking the daemon: what `kerneld_send` did inside the 2.0 kernel, for programs of today.

use crate::queue::{Buffer, Queue, Select};
use crate::request::{Command, ReplyTo};
use crate::wire::{Layout, Message, Reading};
use nix::errno::Errno;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a request may lie unread before its sender is told -ENODEV (`ipc/msg.c` kd_timeout, Linux 2.0).
pub const UNREAD_LIMIT: Duration = Duration::from_secs(1);

/// First id that [`Client`] asks answers under: above every command, kdsend's 1024 + pid and the
/// types of other old listeners.
const FIRST_ID: i32 = 0x0100_0000;

/// An answer: what the daemon says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The helper's exit code, 0 to 255, or a negative errno.
    pub status: i32,
    /// What the command returned, often nothing.
    pub text: Vec<u8>,
    /// Bytes of mtext, header included: the number that kdsend prints.
    pub mtext_len: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No queue, or nobody read the request within [`UNREAD_LIMIT`]: -ENODEV to an old program.
    NoDaemon,
    /// The request was read, but no answer came in the time given.
    TimedOut,
    /// The queue refused the caller or the request.
    Queue(Errno),
}

impl Failure {
    /// The negative errno that an old program would get.
    pub fn status(self) -> i32 {
        match self {
            Failure::NoDaemon => -libc::ENODEV,
            Failure::TimedOut => -libc::ETIME,
            Failure::Queue(errno) => -(errno as i32),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoDaemon => {
                f.write_str("no kerneld serves this queue (is it started, and with the same --key?)")
            }
            Failure::TimedOut => {
                f.write_str("kerneld took the request but has not answered in the time given")
            }
            Failure::Queue(Errno::EACCES) => f.write_str(
                "the queue is not open to this user (it is open to root alone unless kerneld.toml says otherwise)",
            ),
            Failure::Queue(errno) => write!(f, "the queue refused the request: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::EIDRM | Errno::EINVAL => Failure::NoDaemon,
            errno => Failure::Queue(errno),
        }
    }
}

/// A way to the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    queue: Queue,
    layout: Layout,
}

impl Client {
    /// A client on the queue of `key`.
    ///
    /// # Errors
    /// [`Failure::NoDaemon`] when the key has no queue; [`Failure::Queue`] when it is not open to this user.
    pub fn open(key: i32, layout: Layout) -> Result<Self, Failure> {
        Ok(Client::on(Queue::open(key)?, layout))
    }

    /// A client on a queue at hand.
    pub fn on(queue: Queue, layout: Layout) -> Self {
        Client { queue, layout }
    }

    /// Sends a request that wants no answer. Waits up to `limit` (for ever if `None`) for room.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] when the queue stayed full; else as [`Client::open`].
    pub fn post(&self, command: Command, text: &[u8], limit: Option<Duration>) -> Result<(), Failure> {
        self.send(0, command, text, limit)
    }

    /// Sends a request and waits for its answer, up to `limit` (for ever if `None`).
    ///
    /// # Errors
    /// [`Failure`]; a request that nobody read is taken back off the queue.
    pub fn ask(&self, command: Command, text: &[u8], limit: Option<Duration>) -> Result<Answer, Failure> {
        let id = fresh_id(self.layout, text);
        self.discard(id)?;
        let start = Instant::now();
        self.send(id, command, text, limit)?;
        let (done, watched) = channel();
        thread::scope(|scope| {
            let watch =
                scope.spawn(move || self.watch(id, command, limit.map(|limit| start + limit), &watched));
            let answer = self.receive(id);
            drop(done);
            let ended_by_watch = watch.join().unwrap_or(None);
            match answer? {
                Some(answer) => {
                    // The watch may have sent its nudge just as the answer came. (A queue that has
                    // gone since takes nothing away from the answer.)
                    let _ = self.discard(id);
                    Ok(answer)
                }
                None => Err(ended_by_watch.unwrap_or(Failure::TimedOut)),
            }
        })
    }

    fn send(&self, id: i32, command: Command, text: &[u8], limit: Option<Duration>) -> Result<(), Failure> {
        let start = Instant::now();
        let reply = ReplyTo { id, layout: self.layout, pid: std::process::id() as i16 };
        let mtext = reply.answer(id, text);
        loop {
            match self.queue.send(command.number(), &mtext) {
                Err(Errno::EAGAIN) if limit.is_none_or(|limit| start.elapsed() < limit) => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::EAGAIN) => return Err(Failure::TimedOut),
                sent => return Ok(sent?),
            }
        }
    }

    /// Waits for the answer; `None` for the nudge that [`Client::watch`] sends to end the wait.
    fn receive(&self, id: i32) -> Result<Option<Answer>, Failure> {
        let mut buffer = Buffer::default();
        loop {
            match self.queue.receive(Select::Exactly(i64::from(id)), &mut buffer) {
                Err(Errno::EINTR) => {}
                received => break received?,
            }
        }
        let mtext = buffer.mtext();
        Ok(Message::decode_as(self.layout, mtext).ok().map(|message| Answer {
            status: message.id as i32,
            text: message.text.to_vec(),
            mtext_len: mtext.len(),
        }))
    }

    /// Ends a wait that has become pointless, by an empty message to the waiting thread: msgrcv has no
    /// time limit of its own. Returns why; `None` when the answer came first (`done` is dropped).
    fn watch(
        &self,
        id: i32,
        command: Command,
        deadline: Option<Instant>,
        done: &Receiver<()>,
    ) -> Option<Failure> {
        let left =
            || deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let answered = |pause| !matches!(done.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
        if answered(UNREAD_LIMIT.min(left())) {
            return None;
        }
        let why = if self.withdraw(id, command) {
            Failure::NoDaemon
        } else if answered(left()) {
            return None;
        } else {
            Failure::TimedOut
        };
        while self.queue.send(i64::from(id), &[]) == Err(Errno::EAGAIN) && !answered(Duration::from_millis(5))
        {
        }
        Some(why)
    }

    /// Takes an unread request back; says whether it was still there. Others' requests of the same
    /// command that are met on the way go back behind it.
    fn withdraw(&self, id: i32, command: Command) -> bool {
        let ours = |mtext: &[u8]| {
            Message::decode_as(self.layout, mtext).is_ok_and(|message| message.id == i64::from(id))
        };
        let sifted = self.queue.sift_by(Select::Exactly(command.number()), |_, mtext| !ours(mtext));
        sifted.is_ok_and(|mut sifted| {
            self.queue.put_back_within(&mut sifted.waiting, Duration::MAX);
            sifted.dropped > 0
        })
    }

    /// Drops whatever waits under `id`: nothing that is still wanted.
    fn discard(&self, id: i32) -> Result<(), Errno> {
        self.queue.drain(Select::Exactly(i64::from(id))).map(drop)
    }
}

/// An id that no other request on this machine has, and that no reader of the message takes for another.
fn fresh_id(layout: Layout, text: &[u8]) -> i32 {
    let is_clear = |id: &i32| {
        let mtext = Message { layout, id: i64::from(*id), pid: 0, text }.encode();
        Reading::of(&mtext)
            .is_ok_and(|reading| reading.likely.id == i64::from(*id) && reading.other.is_none())
    };
    std::iter::repeat_with(next_id).take(256).find(is_clear).unwrap_or_else(next_id)
}

/// 250 in turn for each pid (at most 22 bits). The lowest byte is 128 or more, so that the id of either byte
/// order is not an id in the other: it would be negative.
fn next_id() -> i32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) % 250;
    let pid = std::process::id() & 0x3f_ffff;
    let id = (turn >> 1) << 24 | (pid >> 6) << 8 | 0x80 | (pid & 0x3f) << 1 | turn & 1;
    FIRST_ID + id.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_stay_in_the_range_of_answers() {
        for layout in Layout::ALL {
            let (first, second) = (fresh_id(layout, b"dummy"), fresh_id(layout, b""));
            assert_ne!(first, second);
            assert!((FIRST_ID..0x7fff_0000).contains(&first));
            for (id, text) in [(first, &b"dummy"[..]), (second, b"")] {
                let mtext = Message { layout, id: id.into(), pid: 0, text }.encode();
                let Reading { likely, other } = Reading::of(&mtext).unwrap();
                assert_eq!((likely.id, likely.layout, other), (id.into(), layout, None));
            }
        }
    }

    #[test]
    fn nobody_reads_so_the_request_is_taken_back_and_others_stay() {
        let queue = Queue::create(libc::IPC_PRIVATE, 0o600).unwrap();
        let client = Client::on(queue, Layout::Lp64New);
        client.post(Command::RequestModule, b"other", None).unwrap();
        let answer = client.ask(Command::RequestModule, b"dummy", None);
        let left = queue.stat().unwrap().messages;
        queue.remove().unwrap();
        assert_eq!((answer, left), (Err(Failure::NoDaemon), 1));
    }

    #[test]
    fn a_reader_that_never_answers_runs_into_the_limit() {
        let queue = Queue::create(libc::IPC_PRIVATE, 0o600).unwrap();
        let reader = thread::spawn(move || queue.receive(Select::UpTo(255), &mut Buffer::default()));
        let client = Client::on(queue, Layout::Ilp32Old);
        let answer = client.ask(Command::Debug, b"", Some(Duration::from_millis(1100)));
        reader.join().unwrap().unwrap();
        let left = queue.stat().unwrap().messages;
        queue.remove().unwrap();
        assert_eq!((answer, left), (Err(Failure::TimedOut), 0));
    }
}
