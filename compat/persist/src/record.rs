//! The texts of get_persist and set_persist. Pure; every length is checked.
//!
//! GET's text is the key. SET's is `{ int keylen; int arglen; char arr[]; }`, `arr` being the key
//! with its NUL and then the value (modutils 2.4 `kerneld.c`, with the persistent-storage patch).
#![forbid(unsafe_code)]

use kerneld_protocol::wire::{ByteOrder, Layout, Message, TooShort};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes before `arr`: two ints.
const HEADER: usize = 8;

/// What a value is kept under: at least one byte, none of them NUL. No other value of this type can
/// be made, nor arrive from another process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Key(Vec<u8>);

impl Key {
    /// A key, given with or without the NUL that ends it.
    ///
    /// # Errors
    /// [`BadRecord::Key`] when it is empty or holds a NUL.
    pub fn new(text: &[u8]) -> Result<Self, BadRecord> {
        let key = text.strip_suffix(b"\0").unwrap_or(text);
        if key.is_empty() || key.contains(&0) {
            return Err(BadRecord::Key(text.to_vec()));
        }
        Ok(Key(key.to_vec()))
    }

    /// The key without NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as it is stored and sent: with its NUL.
    pub fn with_nul(&self) -> Vec<u8> {
        [self.as_bytes(), b"\0"].concat()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl TryFrom<Vec<u8>> for Key {
    type Error = BadRecord;

    fn try_from(key: Vec<u8>) -> Result<Self, BadRecord> {
        Key::new(&key)
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Vec<u8> {
        key.0
    }
}

/// What SET asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Keep a value, at least one byte, under a key.
    Set(Key, Vec<u8>),
    /// Forget a key.
    Delete(Key),
}

impl Change {
    /// SET's text, as a little-endian sender writes it.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_for(ByteOrder::Little)
    }

    /// SET's text, as a sender of this byte order writes it.
    pub fn encode_for(&self, order: ByteOrder) -> Vec<u8> {
        let (key, value): (&Key, &[u8]) = match self {
            Change::Set(key, value) => (key, value),
            Change::Delete(key) => (key, &[]),
        };
        let key = key.with_nul();
        let length = |bytes: &[u8]| {
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            match order {
                ByteOrder::Little => length.to_le_bytes(),
                ByteOrder::Big => length.to_be_bytes(),
            }
        };
        [&length(&key), &length(value), &key[..], value].concat()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Set(key, value) => write!(f, "set '{key}' to {} bytes", value.len()),
            Change::Delete(key) => write!(f, "delete '{key}'"),
        }
    }
}

/// Why a text asks for nothing that could be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// The key is empty, or holds a NUL before its end.
    Key(Vec<u8>),
    /// SET's text of this many bytes has no room for its two lengths.
    Short(usize),
    /// SET's lengths are negative, or more than the text holds.
    Lengths {
        /// `keylen` as sent, in bytes.
        key: i32,
        /// `arglen` as sent, in bytes.
        value: i32,
        /// Bytes in the text after the lengths.
        present: usize,
    },
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecord::Key(key) => write!(f, "'{}' is not a key for a value", key.escape_ascii()),
            BadRecord::Short(len) => {
                write!(f, "a value's record of {len} bytes is shorter than its header of {HEADER}")
            }
            BadRecord::Lengths { key, value, present } => {
                write!(f, "a value's record says key {key} + value {value} bytes but holds {present}")
            }
        }
    }
}

impl std::error::Error for BadRecord {}

/// Reads GET's text.
///
/// # Errors
/// [`BadRecord::Key`].
pub fn parse_get(text: &[u8]) -> Result<Key, BadRecord> {
    Key::new(text)
}

/// Reads SET's text; `None` for one with `keylen` 0, which kerneld ignored. Bytes past the value are
/// not looked at.
///
/// # Errors
/// [`BadRecord`] when the lengths do not fit the text or the key is not valid.
pub fn parse_set(text: &[u8]) -> Result<Option<Change>, BadRecord> {
    let (key_len, value_len, rest) = split(text).ok_or(BadRecord::Short(text.len()))?;
    if key_len == 0 {
        return Ok(None);
    }
    let bad = BadRecord::Lengths { key: key_len, value: value_len, present: rest.len() };
    let lengths = usize::try_from(key_len).ok().zip(usize::try_from(value_len).ok());
    let (key_len, value_len) = lengths.ok_or_else(|| bad.clone())?;
    let (key, rest) = rest.split_at_checked(key_len).ok_or_else(|| bad.clone())?;
    let value = rest.get(..value_len).ok_or(bad)?;
    let key = Key::new(key)?;
    Ok(Some(if value.is_empty() { Change::Delete(key) } else { Change::Set(key, value.to_vec()) }))
}

/// Decodes the `mtext` of a SET request. Its text is binary and so can look like a part of another
/// layout's header; the layout in which the record's lengths add up to the message is the sender's.
///
/// # Errors
/// [`TooShort`] when the header is not complete.
pub fn decode_set(mtext: &[u8]) -> Result<Message<'_>, TooShort> {
    Layout::ALL
        .into_iter()
        .filter_map(|layout| Message::decode_as(layout, mtext).ok())
        .find(|message| message.id >= 0 && is_whole(message) && message.encode() == mtext)
        .map_or_else(|| Message::decode(mtext), Ok)
}

fn is_whole(message: &Message) -> bool {
    let Some((lengths, rest)) = message.text.split_first_chunk::<HEADER>() else { return false };
    let length = |bytes: &[u8]| usize::try_from(message.layout.number(bytes)).ok();
    let sum = || length(&lengths[..4])?.checked_add(length(&lengths[4..])?);
    sum() == Some(rest.len())
}

/// The two lengths, and what follows. Their byte order is the one in which they fit: no length that fits a
/// message does so in both.
fn split(text: &[u8]) -> Option<(i32, i32, &[u8])> {
    let (key_len, rest) = text.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let fits = |len: i32| usize::try_from(len).is_ok_and(|len| len <= rest.len());
    let big = (i32::from_be_bytes(*key_len), i32::from_be_bytes(*value_len));
    let (key_len, value_len) = if fits(big.0) && fits(big.1) {
        big
    } else {
        (i32::from_le_bytes(*key_len), i32::from_le_bytes(*value_len))
    };
    Some((key_len, value_len, rest))
}
