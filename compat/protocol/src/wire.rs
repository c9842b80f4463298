//! The four layouts of a kerneld message's `mtext`, without I/O and, to decode, without allocation.
//!
//! `struct kerneld_msg` (`include/linux/kerneld.h`, Linux 1.3.57-2.1.89) begins with `long id`, so its
//! size follows the sender's architecture; 2.1 added `short version; short pid` (the "new protocol").
//! Nothing on the wire names the layout: [`Layout::detect`] tells them apart by what cannot occur.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The value of the `version` field in the new protocol (`KERNELD_VERSION`-era `kerneld.h`, Linux 2.1).
pub const NEW_PROTOCOL_VERSION: u16 = 2;

/// Largest id that a 32-bit sender can ask its answer under (`long` on ilp32).
pub const MAX_ID: i64 = 0x7fff_ffff;

/// How a sender's compiler and protocol laid out `mtext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// 32-bit sender, old protocol: `id:4 text…`.
    Ilp32Old,
    /// 32-bit sender, new protocol: `id:4 version:2 pid:2 text…`.
    Ilp32New,
    /// 64-bit sender, old protocol: `id:8 text…`.
    Lp64Old,
    /// 64-bit sender, new protocol: `id:8 version:2 pid:2 text…`.
    Lp64New,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 4] = [Layout::Ilp32Old, Layout::Ilp32New, Layout::Lp64Old, Layout::Lp64New];

    /// The name used by `kdsend --layout` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Ilp32Old => "ilp32-old",
            Layout::Ilp32New => "ilp32-new",
            Layout::Lp64Old => "lp64-old",
            Layout::Lp64New => "lp64-new",
        }
    }

    /// Bytes of the `id` field: 4 or 8.
    pub const fn id_len(self) -> usize {
        match self {
            Layout::Ilp32Old | Layout::Ilp32New => 4,
            Layout::Lp64Old | Layout::Lp64New => 8,
        }
    }

    /// Whether messages carry `version` and `pid`.
    pub const fn has_pid(self) -> bool {
        matches!(self, Layout::Ilp32New | Layout::Lp64New)
    }

    /// Bytes before the text: 4, 8, 8 or 12.
    pub const fn header_len(self) -> usize {
        self.id_len() + if self.has_pid() { 4 } else { 0 }
    }

    /// Tells the layout of a request's `mtext`; `None` when it is too short for any.
    ///
    /// A request's id fits 31 bits and its text never starts with NUL, so eight bytes whose upper
    /// half is zero are a 64-bit id.
    pub fn detect(mtext: &[u8]) -> Option<Layout> {
        if mtext.len() < 4 {
            return None;
        }
        let version_at =
            |at: usize| mtext.get(at..at + 4).is_some() && u16_at(mtext, at) == NEW_PROTOCOL_VERSION;
        let layout = if mtext.get(4..8) == Some(&[0; 4]) {
            if version_at(8) { Layout::Lp64New } else { Layout::Lp64Old }
        } else if version_at(4) {
            Layout::Ilp32New
        } else {
            Layout::Ilp32Old
        };
        Some(layout)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Layout::ALL.into_iter().find(|layout| layout.name() == name).ok_or_else(|| {
            let known = Layout::ALL.map(Layout::name).join(", ");
            format!("no layout is called {name:?}; there are {known}")
        })
    }
}

/// A message's `mtext`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// How the header is laid out.
    pub layout: Layout,
    /// In a request the answer's `mtype`, 0 for "no answer wanted"; in an answer the status:
    /// a helper's exit code, or a negative errno.
    pub id: i64,
    /// Low 16 bits of the sender's pid, as the signed short of `kerneld.h`; 0 in the old protocol.
    pub pid: i16,
    /// What follows the header; not NUL-terminated, may be empty.
    pub text: &'a [u8],
}

/// Why an `mtext` is no kerneld message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort {
    /// Bytes there were.
    pub len: usize,
    /// Bytes the header needs.
    pub needed: usize,
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooShort { len, needed } = self;
        write!(f, "a message of {len} bytes is shorter than its header of {needed}")
    }
}

impl std::error::Error for TooShort {}

impl<'a> Message<'a> {
    /// Decodes a request, whose layout has to be guessed ([`Layout::detect`]).
    ///
    /// # Errors
    /// [`TooShort`] when not even a 32-bit id is there.
    pub fn decode(mtext: &'a [u8]) -> Result<Self, TooShort> {
        let layout = Layout::detect(mtext).ok_or(TooShort { len: mtext.len(), needed: 4 })?;
        Self::decode_as(layout, mtext)
    }

    /// Decodes a message whose layout is known, as an answer's is to the one who asked.
    ///
    /// # Errors
    /// [`TooShort`] when the header does not fit.
    pub fn decode_as(layout: Layout, mtext: &'a [u8]) -> Result<Self, TooShort> {
        let needed = layout.header_len();
        if mtext.len() < needed {
            return Err(TooShort { len: mtext.len(), needed });
        }
        let (header, text) = mtext.split_at(needed);
        let id = match layout.id_len() {
            4 => i64::from(i32::from_le_bytes([header[0], header[1], header[2], header[3]])),
            _ => i64::from_le_bytes(std::array::from_fn(|i| header[i])),
        };
        let pid = if layout.has_pid() { u16_at(header, layout.id_len() + 2).cast_signed() } else { 0 };
        Ok(Message { layout, id, pid, text })
    }

    /// The bytes to put behind `mtype`. In a 32-bit layout the id is cut to its low 32 bits.
    pub fn encode(&self) -> Vec<u8> {
        let mut mtext = Vec::with_capacity(self.layout.header_len() + self.text.len());
        mtext.extend_from_slice(&self.id.to_le_bytes()[..self.layout.id_len()]);
        if self.layout.has_pid() {
            mtext.extend_from_slice(&NEW_PROTOCOL_VERSION.to_le_bytes());
            mtext.extend_from_slice(&self.pid.to_le_bytes());
        }
        mtext.extend_from_slice(self.text);
        mtext
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

const _: () = {
    assert!(Layout::Ilp32Old.header_len() == 4);
    assert!(Layout::Ilp32New.header_len() == 8);
    assert!(Layout::Lp64Old.header_len() == 8);
    assert!(Layout::Lp64New.header_len() == 12);
};
