//! The channel of the model: a SysV message queue as the kernel of its time kept it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Bytes that a queue of its time held (`MSGMNB`, Linux 2.0 to today).
const QUEUE_BYTES: usize = 16384;

/// The channel, as the kernel keeps it.
#[derive(Debug, Default)]
pub struct Channel(VecDeque<(i64, Vec<u8>)>);

impl Channel {
    /// Appends a message; false when there is no room.
    pub fn send(&mut self, mtype: i64, mtext: &[u8]) -> bool {
        let room = mtext.len() <= self.room() && self.0.len() < QUEUE_BYTES;
        if room {
            self.0.push_back((mtype, mtext.to_vec()));
        }
        room
    }

    /// Bytes that find room.
    pub fn room(&self) -> usize {
        QUEUE_BYTES - self.0.iter().map(|(_, mtext)| mtext.len()).sum::<usize>()
    }

    /// Takes a message as `msgrcv` selects it: 0 any, above it just that type, below it the lowest
    /// type up to its absolute value.
    pub fn receive(&mut self, select: i64) -> Option<(i64, Vec<u8>)> {
        let types = self.0.iter().map(|(mtype, _)| *mtype);
        let wanted = match select {
            0 => types.into_iter().next(),
            1.. => Some(select),
            _ => types.filter(|mtype| *mtype <= -select).min(),
        }?;
        let at = self.0.iter().position(|(mtype, _)| *mtype == wanted)?;
        self.0.remove(at)
    }
}
