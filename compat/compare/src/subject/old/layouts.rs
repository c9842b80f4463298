//! Which layouts an old program speaks: it is asked for its state in each, and shows by its answer whether
//! it understood.
#![forbid(unsafe_code)]

use super::program::Old;
use crate::world::real::Daemon;
use crate::world::stage::Stage;
use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::{Layout, Message};
use kerneld_recorder::Plan;
use nix::errno::Errno;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long an answer may take that comes at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// The type of the first answer; others follow.
const FIRST_ID: i64 = 0x0123_4567;

/// The pid that the requests of the new protocol carry.
const PID: i16 = 77;

/// The layouts that a program answers in, found by starting it and asking.
///
/// # Errors
/// A sentence: it does not start, or answers in none.
pub(crate) fn spoken(program: &Path) -> Result<Vec<Layout>, String> {
    let stage = Stage::new(&Plan::default(), &[])?;
    let mut old = Old::new(program, &[]);
    let found = ask_in_each(&mut old, &stage);
    old.clean_up();
    match found? {
        none if none.is_empty() => Err(format!(
            "{} answers kdstat in none of the layouts: say with --layout which one it speaks",
            program.display()
        )),
        some => Ok(some),
    }
}

fn ask_in_each(old: &mut Old, stage: &Stage) -> Result<Vec<Layout>, String> {
    let mut queue = old.start(stage)?;
    let mut spoken = Vec::new();
    for (layout, id) in Layout::of_this_machine().zip(FIRST_ID..) {
        // What it does not understand may have ended it.
        if old.ended() {
            queue = old.start(stage)?;
        }
        if answers(queue, layout, id).map_err(|errno| format!("cannot ask: {}", errno.desc()))? {
            spoken.push(layout);
        }
    }
    Ok(spoken)
}

fn answers(queue: Queue, layout: Layout, id: i64) -> Result<bool, Errno> {
    queue.send(Command::Debug.number(), &Message { layout, id, pid: PID, text: b"" }.encode())?;
    let (start, mut buffer) = (Instant::now(), Buffer::default());
    while start.elapsed() < PATIENCE {
        match queue.try_receive(Select::Exactly(id), &mut buffer) {
            Ok(true) => return Ok(understood(layout, buffer.mtext())),
            Ok(false) => sleep(Duration::from_millis(2)),
            Err(Errno::EIDRM | Errno::EINVAL) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}

/// Whether an answer has the request's own header, and says what kerneld says.
fn understood(layout: Layout, mtext: &[u8]) -> bool {
    Message::decode_as(layout, mtext).is_ok_and(|answer| {
        let pid = if layout.has_pid() { PID } else { 0 };
        let same_header = answer.encode() == mtext && answer.pid == pid && (0..=255).contains(&answer.id);
        same_header && (answer.text.is_empty() || answer.text.starts_with(b"Version "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_layout_is_understood() {
        for layout in Layout::of_this_machine() {
            let answer = Message { layout, id: 0, pid: PID, text: b"Version 2.4.27, pid=9\n" }.encode();
            let read: Vec<Layout> =
                Layout::of_this_machine().filter(|other| understood(*other, &answer)).collect();
            assert_eq!(read, [layout]);
        }
    }
}
