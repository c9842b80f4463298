//! Who waits on the queue: every thread of the machine that sleeps in `msgrcv`, as `/proc/PID/task/TID/syscall`
//! shows it. One that is stopped while it waits is shown as well.
#![forbid(unsafe_code)]

use super::doubts::State;
use kerneld_protocol::queue::Queue;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// `msgrcv` on i386: `ipc(2)` with this call (`include/uapi/linux/ipc.h`), or since Linux 5.1 by itself.
const I386_IPC: u64 = 117;
const IPC_MSGRCV: u64 = 12;
const I386_MSGRCV: u64 = 401;

/// The message types that somebody waits for on `queue`, each alone.
pub(crate) fn awaited_types(queue: Queue) -> HashSet<i64> {
    let mut types = HashSet::new();
    for process in numbered(Path::new("/proc")) {
        for thread in numbered(&process.join("task")) {
            types.extend(awaited_by(&process, &thread, queue.id()));
        }
    }
    types
}

/// Whether a process is there, and whether a signal has stopped it.
pub(crate) fn state(pid: i32) -> State {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match stat.rsplit_once(") ").and_then(|(_, fields)| fields.bytes().next()) {
        None | Some(b'Z' | b'X') => State::Gone,
        Some(b'T' | b't') => State::Stopped,
        Some(_) => State::Alive,
    }
}

/// Entries whose name is a number.
fn numbered(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    entries.filter(|entry| is_number(&entry.file_name())).map(|entry| entry.path()).collect()
}

fn awaited_by(process: &Path, thread: &Path, queue: i32) -> Option<i64> {
    let call = Call::parse(&fs::read_to_string(thread.join("syscall")).ok()?)?;
    if !call.may_be_msgrcv() {
        return None;
    }
    let word = |address: u64| {
        let mut word = [0; 4];
        File::open(process.join("mem")).ok()?.read_exact_at(&mut word, address).ok()?;
        Some(u32::from_ne_bytes(word))
    };
    call.awaited_type(is_32_bit(process)?, queue, word)
}

/// By the class in its program's ELF header.
fn is_32_bit(process: &Path) -> Option<bool> {
    let mut ident = [0; 5];
    File::open(process.join("exe")).ok()?.read_exact_at(&mut ident, 0).ok()?;
    Some(ident[4] == 1)
}

/// A system call in progress, with its arguments.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    number: u64,
    args: [u64; 6],
}

impl Call {
    /// `NUMBER 0xARG… 0xSP 0xPC`; a thread that runs, or waits for something else, is shown otherwise.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Call { number, args })
    }

    fn may_be_msgrcv(&self) -> bool {
        let native = libc::SYS_msgrcv.cast_unsigned();
        native == self.number || self.number == I386_MSGRCV || self.number == I386_IPC
    }

    /// The one type that this waits for on `queue`. `word` reads from the memory of its process: old calls
    /// of `ipc(2)` keep the type there, behind the message's address.
    fn awaited_type(&self, is_32_bit: bool, queue: i32, word: impl Fn(u64) -> Option<u32>) -> Option<i64> {
        let [first, second, _, fourth, fifth, sixth] = self.args;
        let from_32 = |value: u64| i64::from(value as u32 as i32);
        let (id, mtype) = match (self.number, is_32_bit) {
            (I386_IPC, true) if first & 0xffff == IPC_MSGRCV && first >> 16 == 0 => {
                (second, i64::from(word(fifth + 4)?.cast_signed()))
            }
            (I386_IPC, true) if first & 0xffff == IPC_MSGRCV => (second, from_32(sixth)),
            (I386_MSGRCV, true) => (first, from_32(fourth)),
            (number, false) if number == libc::SYS_msgrcv.cast_unsigned() => (first, fourth.cast_signed()),
            _ => return None,
        };
        (id as u32 as i32 == queue && mtype > 0).then_some(mtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerneld_protocol::queue::{Buffer, Select};
    use std::time::Duration;

    #[test]
    fn calls_are_read_as_the_kernel_writes_them() {
        let call = Call::parse("70 0x8001 0x7ffd2 0x2000 0x1388 0x1000 0x0 0x7ffd1 0x7f3a\n").unwrap();
        assert_eq!(call.awaited_type(false, 0x8001, |_| None), Some(5000));
        assert_eq!(call.awaited_type(false, 0x8002, |_| None), None, "another queue");
        assert_eq!(call.awaited_type(true, 0x8001, |_| None), None, "another call on i386");
        assert_eq!(["running\n", "-1 0x7ff 0x7f\n", "", "70 0x1"].map(Call::parse), [None, None, None, None]);
    }

    #[test]
    fn thirty_two_bit_calls_are_read_too() {
        let ipc = Call::parse("117 0xc 0x8001 0x400 0x0 0xffd0 0x0 0xffc0 0xf7f0").unwrap();
        let kludge = |address| (address == 0xffd4).then_some(1033);
        assert_eq!(ipc.awaited_type(true, 0x8001, kludge), Some(1033));
        assert_eq!(ipc.awaited_type(false, 0x8001, kludge), None, "setresuid on x86-64");
        let direct = Call::parse("401 0x8001 0xffd0 0x400 0xffffff01 0x0 0x0 0xffc0 0xf7f0").unwrap();
        assert_eq!(direct.awaited_type(true, 0x8001, |_| None), None, "any of several types");
    }

    #[test]
    fn a_thread_that_waits_is_seen() {
        let queue = Queue::create(0, 0o600).unwrap();
        let waiting =
            std::thread::spawn(move || queue.receive(Select::Exactly(4711), &mut Buffer::default()));
        while awaited_types(queue).is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(awaited_types(queue), HashSet::from([4711]));
        queue.send(4711, b"").unwrap();
        waiting.join().unwrap().unwrap();
        assert_eq!(awaited_types(queue), HashSet::new());
        queue.remove().unwrap();
    }
}
