//! Messages as the old kerneld read and wrote them: a header of its own word size and protocol, then text.
//!
//! A real one knew one word size. The model is as many as are needed: for each message it is the one that
//! the sender was compiled for.
#![forbid(unsafe_code)]

/// The most bytes of mtext that it read, header included (`kerneld.c` of modutils 2.4).
const READ: usize = 1023;

/// The `version` of the new protocol.
const VERSION: [u8; 2] = [2, 0];

/// For which kernels the model was compiled.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Whether for the new protocol, and so for both.
    pub new_protocol: bool,
    /// Bytes of a `long`, 4 or 8; none for a model that is of the size of whoever asks.
    pub word: Option<usize>,
}

/// A message that was read.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Bytes of a `long`: 4 or 8.
    pub(super) word: usize,
    /// In a request the type of its answer, or 0.
    pub(super) id: i64,
    /// The pid field of the new protocol; none in the old one.
    pub(super) sender: Option<i16>,
    /// What follows the header.
    pub(super) text: Vec<u8>,
}

/// Reads mtext, of which a part too short for a header is filled up with zeros; none of nothing. A daemon
/// that was compiled for the old protocol alone knows no `sender`.
pub(super) fn read(mtext: &[u8], build: Build) -> Option<Message> {
    let mut mtext = mtext[..mtext.len().min(READ)].to_vec();
    if mtext.is_empty() {
        return None;
    }
    let told = if mtext.get(4..8) == Some(&[0; 4]) { 8 } else { 4 };
    let word = build.word.unwrap_or(told);
    mtext.resize(mtext.len().max(word), 0);
    let new = build.new_protocol && mtext.len() >= word + 4 && mtext[word..word + 2] == VERSION;
    let (id, mut text) = mtext.split_at(word);
    let mut sender = None;
    if new {
        sender = Some(i16::from_le_bytes([text[2], text[3]]));
        text = &text[4..];
    }
    Some(Message { word, id: signed(id), sender, text: text.to_vec() })
}

/// The answer's mtext: the request's header, the status in the id's place.
pub(super) fn answer(word: usize, sender: Option<i16>, status: i64, text: &[u8]) -> Vec<u8> {
    let mut mtext = status.to_le_bytes()[..word].to_vec();
    if let Some(pid) = sender {
        mtext.extend(VERSION);
        mtext.extend(pid.to_le_bytes());
    }
    mtext.extend(text);
    mtext
}

fn signed(bytes: &[u8]) -> i64 {
    match bytes {
        [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]).into(),
        _ => i64::from_le_bytes(std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0))),
    }
}
