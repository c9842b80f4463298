//! For which answers programs wait: what `/proc/PID/task/TID/syscall` (proc_pid_syscall(5)) shows of threads
//! that sleep in `msgrcv`, or in `ipc(2)` on behalf of it. Of other users' processes only root sees that.
//!
//! This tells apart the readings that a request's bytes leave open ([`crate::wire::Reading`]).
#![forbid(unsafe_code)]

use crate::request::ReplyTo;
use crate::wire::{ByteOrder, Layout};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Environment variable by which a program's user says in which layout it sends (`kdrun --layout` sets it).
/// It counts where a request's bytes leave that open.
pub const LAYOUT_VARIABLE: &str = "KERNELD_LAYOUT";

/// How often, and with which pauses, a sender that has sent and does not wait yet is looked at again.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(1);

/// `MSGRCV`, the operation in the low 16 bits of `ipc`'s first argument; above is the version.
const IPC_OPERATION_MSGRCV: u64 = 12;

/// How the system calls of a machine are numbered, of its own programs and of the 32-bit ones that it runs.
struct Calls {
    msgrcv: &'static [u64],
    ipc: Option<u64>,
}

const CALLS: Calls = if cfg!(target_arch = "x86_64") {
    Calls { msgrcv: &[70, 401], ipc: Some(117) }
} else if cfg!(target_arch = "aarch64") {
    Calls { msgrcv: &[188, 302], ipc: None }
} else if cfg!(target_arch = "riscv64") {
    Calls { msgrcv: &[188], ipc: None }
} else if cfg!(target_arch = "arm") {
    Calls { msgrcv: &[302], ipc: None }
} else {
    // i386, s390 and powerpc: `ipc`, and since Linux 5.1 a call of its own.
    Calls { msgrcv: &[401], ipc: Some(117) }
};

/// Where the answer goes to a request whose bytes have two meanings: by the byte order that all senders have,
/// else by the layout that the sender's environment names, else by the id that somebody waits for on the
/// queue, else by what is likelier.
pub fn settle(
    [likely, other]: [ReplyTo; 2],
    order: Option<ByteOrder>,
    queue: i32,
    last_sender: Option<i32>,
) -> ReplyTo {
    let told = |tells: &dyn Fn(Layout) -> bool| match (tells(likely.layout), tells(other.layout)) {
        (true, false) => Some(likely),
        (false, true) => Some(other),
        _ => None,
    };
    let by_order = || order.and_then(|order| told(&|layout| layout.byte_order() == order));
    let by_sender = || last_sender.and_then(layout_of).and_then(|named| told(&|layout| layout == named));
    let by_waiting = || {
        let id = waited_for([likely.id, other.id], queue, last_sender)?;
        Some(if id == likely.id { likely } else { other })
    };
    by_order().or_else(by_sender).or_else(by_waiting).unwrap_or(likely)
}

fn layout_of(pid: i32) -> Option<Layout> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut words = environment.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    words.find_map(|word| word.strip_prefix(LAYOUT_VARIABLE)?.strip_prefix('=')?.parse().ok())
}

/// Which of two ids a program waits for; the first of them, if both. Looks at the last sender, a few times
/// if need be, for it may have sent and not begun to wait; then at all processes.
fn waited_for(ids: [i32; 2], queue: i32, last_sender: Option<i32>) -> Option<i32> {
    let sender = last_sender.filter(|pid| *pid > 0).map(|pid| PathBuf::from(format!("/proc/{pid}")));
    let patience = if ids.contains(&0) { 1 } else { LOOKS };
    for look in 0..patience {
        let Some(process) = &sender else { break };
        if look > 0 {
            thread::sleep(PAUSE);
        }
        match awaited_by(process, queue) {
            Some(awaited) if awaited.iter().any(|id| ids.contains(id)) => return first_of(ids, &awaited),
            // It waits for something else, or has gone: another one sent this.
            Some(awaited) if awaited.is_empty() && process.exists() => {}
            _ => break,
        }
    }
    first_of(ids, &awaited(queue))
}

/// The types that programs wait for on the queue. One that a signal has stopped while it waits is seen, too.
#[must_use]
pub fn awaited(queue: i32) -> Vec<i32> {
    entries(Path::new("/proc")).filter_map(|process| awaited_by(&process, queue)).flatten().collect()
}

fn first_of(ids: [i32; 2], awaited: &[i32]) -> Option<i32> {
    ids.into_iter().find(|id| awaited.contains(id))
}

/// The folders in a folder that are named by numbers.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    entries.map(|entry| entry.path()).filter(numbered)
}

/// The number that names a folder.
fn number(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// What the kernel shows of the system call that a thread is in.
fn call_of(thread: &Path) -> Option<String> {
    fs::read_to_string(thread.join("syscall")).ok()
}

/// The types that a process's threads wait for on the queue; `None` for a process that may not be looked at.
fn awaited_by(process: &Path, queue: i32) -> Option<Vec<i32>> {
    let mut readable = false;
    let mut awaited = Vec::new();
    for thread in entries(&process.join("task")) {
        let Some(line) = call_of(&thread) else { continue };
        readable = true;
        let memory = |at| long_at(&thread, at);
        awaited.extend(awaited_in(&line, queue, memory));
    }
    readable.then_some(awaited)
}

/// A system call that receives a message.
struct Receiving {
    queue: i32,
    /// The type, or where in the program's memory it is: `ipc` of version 0 has it in `struct ipc_kludge`.
    mtype: Result<u64, u64>,
}

/// The system call of a line of `/proc/PID/task/TID/syscall`, if it receives a message.
fn receiving(line: &str) -> Option<Receiving> {
    let mut words = line.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let arguments: Vec<u64> =
        words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
    let argument = |at: usize| arguments.get(at).copied();
    if CALLS.msgrcv.contains(&number) {
        return Some(Receiving { queue: argument(0)? as i32, mtype: Ok(argument(3)?) });
    }
    if CALLS.ipc != Some(number) || argument(0)? & 0xffff != IPC_OPERATION_MSGRCV {
        return None;
    }
    // On s390 the call has five arguments, and the fourth serves twice.
    let fifth = if cfg!(target_arch = "s390x") { 3 } else { 5 };
    let direct = argument(0)? >> 16 != 0;
    let mtype = if direct { Ok(argument(fifth)?) } else { Err(argument(4)?) };
    Some(Receiving { queue: argument(1)? as i32, mtype })
}

/// The threads that wait to receive from the queue, by process and thread id. What may not be read belongs to
/// another user, and what is gone no longer waits.
#[must_use]
pub fn threads_waiting(queue: i32) -> BTreeSet<(u32, u32)> {
    let waits = |thread: &PathBuf| {
        call_of(thread).and_then(|line| receiving(&line)).is_some_and(|call| call.queue == queue)
    };
    let of_process = |process: PathBuf| {
        let threads: Vec<PathBuf> = entries(&process.join("task")).filter(waits).collect();
        threads.into_iter().filter_map(move |thread| Some((number(&process)?, number(&thread)?)))
    };
    entries(Path::new("/proc")).flat_map(of_process).collect()
}

/// The type that the thread of this line waits for on the queue.
fn awaited_in(line: &str, queue: i32, memory: impl Fn(u64) -> Option<i64>) -> Option<i32> {
    let call = receiving(line).filter(|call| call.queue == queue)?;
    Some(match call.mtype {
        Ok(mtype) => mtype as i32,
        Err(at) => memory(at)? as i32,
    })
}

/// The `long` behind the pointer at this address of a program whose calls go through `ipc`: a 32-bit one on
/// x86-64.
fn long_at(thread: &Path, at: u64) -> Option<i64> {
    let width = if cfg!(any(target_arch = "x86_64", target_pointer_width = "32")) { 4 } else { 8 };
    let mut bytes = [0; 8];
    let field = &mut bytes[..width];
    File::open(thread.join("mem")).ok()?.read_exact_at(field, at + width as u64).ok()?;
    Some(Layout::NATIVE.number(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Buffer, Queue, Select};

    fn nothing(_: u64) -> Option<i64> {
        None
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_way_of_waiting_is_seen() {
        let native = "70 0x8 0x7ffd0 0x400 0x4d2 0x0 0x0 0x7ffc 0x7f11";
        let i386 = "401 0x8 0xffd0 0x400 0x4d2 0x0 0x0 0xffc 0xf11";
        let versioned = "117 0x1000c 0x8 0x400 0x0 0xffd0 0x4d2 0xffc 0xf11";
        for line in [native, i386, versioned] {
            assert_eq!(awaited_in(line, 8, nothing), Some(1234), "{line}");
            assert_eq!(awaited_in(line, 9, nothing), None, "{line}");
        }
        let by_pointer = "117 0xc 0x8 0x400 0x0 0xffd0 0x0 0xffc 0xf11";
        assert_eq!(awaited_in(by_pointer, 8, |at| (at == 0xffd0).then_some(1234)), Some(1234));
        let others =
            ["running", "-1 0x7ffc 0x7f11", "0 0x8 0x1 0x2 0x4d2", "117 0xb 0x8 0x400 0x0 0xffd0 0x4d2"];
        for line in others {
            assert_eq!(awaited_in(line, 8, nothing), None, "{line}");
        }
    }

    /// Another thread of ours waits: the kernel shows us ourselves, whoever we are.
    #[test]
    fn a_waiting_thread_of_this_machine_is_seen() {
        let queue = Queue::create(libc::IPC_PRIVATE, 0o600).unwrap();
        let waiting =
            thread::spawn(move || queue.receive(Select::Exactly(0x01_0005), &mut Buffer::default()));
        let ids = [0x500_0100, 0x01_0005];
        let ours = std::process::id().cast_signed();
        let seen =
            std::iter::repeat_with(|| waited_for(ids, queue.id(), Some(ours))).take(5000).find_map(|id| id);
        let other_queue = waited_for(ids, queue.id() + 1, Some(ours));
        queue.remove().unwrap();
        assert!(waiting.join().unwrap().is_err());
        assert_eq!((seen, other_queue), (Some(0x01_0005), None));
    }

    #[test]
    fn byte_order_beats_likelihood() {
        let likely = ReplyTo { id: 0x500, layout: Layout::Ilp32Old, pid: 0 };
        let other = likely.other_reading(b"ppp").unwrap();
        assert_eq!((other.id, other.layout), (0x05_0000, Layout::Ilp32OldBe));
        for (order, expected) in
            [(Some(ByteOrder::Big), other), (Some(ByteOrder::Little), likely), (None, likely)]
        {
            assert_eq!(settle([likely, other], order, -1, None), expected);
        }
    }

    #[test]
    fn the_senders_environment_names_its_layout() {
        let mut sender = std::process::Command::new("sleep");
        let mut sender = sender.arg("60").env(LAYOUT_VARIABLE, "ilp32-old-be").spawn().expect("sleep runs");
        let pid = sender.id().cast_signed();
        // Until it has become sleep, its environment is ours.
        let named = std::iter::repeat_with(|| layout_of(pid)).take(100_000).find_map(|layout| layout);
        sender.kill().unwrap();
        sender.wait().unwrap();
        assert_eq!(named, Some(Layout::Ilp32OldBe));
    }
}
