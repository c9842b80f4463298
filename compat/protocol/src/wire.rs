//! The eight layouts of a kerneld message's `mtext`, without I/O and, to decode, without allocation.
//!
//! `struct kerneld_msg` (`include/linux/kerneld.h`, Linux 1.3.57-2.1.89) begins with `long id`, so its
//! size and byte order follow the sender's architecture; 2.1 added `short version; short pid` (the "new
//! protocol"). Nothing on the wire names the layout: [`Reading::of`] tells them apart by what cannot occur,
//! and says where two remain possible.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The value of the `version` field in the new protocol (`KERNELD_VERSION`-era `kerneld.h`, Linux 2.1).
pub const NEW_PROTOCOL_VERSION: u16 = 2;

/// Largest id that a 32-bit sender can ask its answer under (`long` on ilp32).
pub const MAX_ID: i64 = 0x7fff_ffff;

/// The order in which a machine puts the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByteOrder {
    /// Lowest byte first: i386, x86-64, alpha, little-endian arm and mips.
    Little,
    /// Highest byte first: m68k, ppc, sparc, big-endian mips, s390.
    Big,
}

/// How a sender's compiler and protocol laid out `mtext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// 32-bit little-endian sender, old protocol: `id:4 text…`.
    Ilp32Old,
    /// 32-bit little-endian sender, new protocol: `id:4 version:2 pid:2 text…`.
    Ilp32New,
    /// 64-bit little-endian sender, old protocol: `id:8 text…`.
    Lp64Old,
    /// 64-bit little-endian sender, new protocol: `id:8 version:2 pid:2 text…`.
    Lp64New,
    /// [`Layout::Ilp32Old`] of a big-endian sender.
    Ilp32OldBe,
    /// [`Layout::Ilp32New`] of a big-endian sender.
    Ilp32NewBe,
    /// [`Layout::Lp64Old`] of a big-endian sender.
    Lp64OldBe,
    /// [`Layout::Lp64New`] of a big-endian sender.
    Lp64NewBe,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 8] = [
        Layout::Ilp32Old,
        Layout::Ilp32New,
        Layout::Lp64Old,
        Layout::Lp64New,
        Layout::Ilp32OldBe,
        Layout::Ilp32NewBe,
        Layout::Lp64OldBe,
        Layout::Lp64NewBe,
    ];

    /// What a program that is compiled for this machine sends in the new protocol.
    pub const NATIVE: Layout = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "big")) {
        (false, false) => Layout::Ilp32New,
        (true, false) => Layout::Lp64New,
        (false, true) => Layout::Ilp32NewBe,
        (true, true) => Layout::Lp64NewBe,
    };

    /// The layouts of this machine's byte order: 32 bits before 64, old protocol before new.
    pub fn of_this_machine() -> impl Iterator<Item = Layout> {
        Layout::ALL.into_iter().filter(|layout| layout.byte_order() == Layout::NATIVE.byte_order())
    }

    /// The name used by `kdsend --layout` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Ilp32Old => "ilp32-old",
            Layout::Ilp32New => "ilp32-new",
            Layout::Lp64Old => "lp64-old",
            Layout::Lp64New => "lp64-new",
            Layout::Ilp32OldBe => "ilp32-old-be",
            Layout::Ilp32NewBe => "ilp32-new-be",
            Layout::Lp64OldBe => "lp64-old-be",
            Layout::Lp64NewBe => "lp64-new-be",
        }
    }

    /// The sender's byte order.
    pub const fn byte_order(self) -> ByteOrder {
        match self {
            Layout::Ilp32Old | Layout::Ilp32New | Layout::Lp64Old | Layout::Lp64New => ByteOrder::Little,
            _ => ByteOrder::Big,
        }
    }

    /// Bytes of the `id` field: 4 or 8.
    pub const fn id_len(self) -> usize {
        match self {
            Layout::Ilp32Old | Layout::Ilp32New | Layout::Ilp32OldBe | Layout::Ilp32NewBe => 4,
            _ => 8,
        }
    }

    /// Whether messages carry `version` and `pid`.
    pub const fn has_pid(self) -> bool {
        matches!(self, Layout::Ilp32New | Layout::Lp64New | Layout::Ilp32NewBe | Layout::Lp64NewBe)
    }

    /// Bytes before the text: 4, 8, 8 or 12.
    pub const fn header_len(self) -> usize {
        self.id_len() + if self.has_pid() { 4 } else { 0 }
    }

    /// A signed number as a sender of this layout writes it, in as many bytes as `bytes` has.
    fn write(self, number: i64, bytes: &mut [u8]) {
        let little = number.to_le_bytes();
        bytes.copy_from_slice(&little[..bytes.len()]);
        if self.byte_order() == ByteOrder::Big {
            bytes.reverse();
        }
    }

    /// The signed number in these bytes, at most eight, as a sender of this layout writes it.
    pub fn number(self, bytes: &[u8]) -> i64 {
        let shifted = |number: i64, byte: &u8| number << 8 | i64::from(*byte);
        let number = match self.byte_order() {
            ByteOrder::Little => bytes.iter().rev().fold(0, shifted),
            ByteOrder::Big => bytes.iter().fold(0, shifted),
        };
        let unused = 64 - 8 * bytes.len().clamp(1, 8);
        number << unused >> unused
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

/// Why an `mtext` is not a kerneld message.
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
    /// Decodes a request in its likeliest layout ([`Reading::of`]).
    ///
    /// # Errors
    /// [`TooShort`] when not even a 32-bit id is there.
    pub fn decode(mtext: &'a [u8]) -> Result<Self, TooShort> {
        Reading::of(mtext).map(|reading| reading.likely)
    }

    /// Decodes a message whose layout is known, as an answer's is to the one who asked.
    ///
    /// # Errors
    /// [`TooShort`] when the header does not fit.
    pub fn decode_as(layout: Layout, mtext: &'a [u8]) -> Result<Self, TooShort> {
        let needed = layout.header_len();
        let (header, text) = mtext.split_at_checked(needed).ok_or(TooShort { len: mtext.len(), needed })?;
        let id = layout.number(&header[..layout.id_len()]);
        let pid = if layout.has_pid() { layout.number(&header[needed - 2..]) as i16 } else { 0 };
        Ok(Message { layout, id, pid, text })
    }

    /// The bytes to put behind `mtype`. In a 32-bit layout the id is cut to its low 32 bits.
    pub fn encode(&self) -> Vec<u8> {
        let Message { layout, id, pid, text } = *self;
        let mut mtext = vec![0; layout.header_len()];
        let (id_field, rest) = mtext.split_at_mut(layout.id_len());
        layout.write(id, id_field);
        if let [version @ .., _, _] = rest {
            layout.write(NEW_PROTOCOL_VERSION.into(), version);
            layout.write(pid.into(), &mut rest[2..]);
        }
        mtext.extend_from_slice(text);
        mtext
    }
}

/// What a request's bytes may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The likeliest meaning.
    pub likely: Message<'a>,
    /// Another one that the bytes allow; which of the two is meant depends on the sender's machine.
    pub other: Option<Message<'a>>,
}

impl<'a> Reading<'a> {
    /// Reads a request by what cannot occur: an id fits 31 bits, a text begins with a character that can
    /// be seen, the new protocol's version is 2. `other` is left when
    ///
    /// * an old-protocol id of 32 bits is one in both byte orders: one that old programs are known to have
    ///   had is likelier, then the smaller one, and little-endian where they are equal;
    /// * the id of a big-endian 64-bit sender of the old protocol looks like a version behind the id 0 of a
    ///   32-bit sender: the latter is likelier, unless somebody waits for that id.
    ///
    /// # Errors
    /// [`TooShort`] when not even a 32-bit id is there.
    pub fn of(mtext: &'a [u8]) -> Result<Self, TooShort> {
        let messages = Layout::ALL.into_iter().filter_map(|layout| Message::decode_as(layout, mtext).ok());
        let mut likely: Option<(Doubts, Message)> = None;
        let mut other: Option<(Doubts, Message)> = None;
        for message in messages {
            let Some(doubts) = doubts(&message, mtext) else { continue };
            match &mut likely {
                Some((least, best)) if *least <= doubts => {
                    if !message.means_as_much(best) && other.is_none_or(|(second, _)| doubts < second) {
                        other = Some((doubts, message));
                    }
                }
                best => {
                    other = best.replace((doubts, message)).filter(|(_, last)| !last.means_as_much(&message))
                }
            }
        }
        let (least, likely) = likely.ok_or(TooShort { len: mtext.len(), needed: 4 })?;
        let other = other.filter(|(doubts, _)| doubts.sure() && least.sure());
        Ok(Reading { likely, other: other.map(|(_, message)| message) })
    }

    /// The meaning, once it is known which byte order senders have or for which id somebody waits.
    pub fn settle(self, order: Option<ByteOrder>, waited_for: impl Fn(i64) -> bool) -> Message<'a> {
        let Reading { likely, other: Some(other) } = self else { return self.likely };
        let fits = |message: &Message| order.is_none_or(|order| message.layout.byte_order() == order);
        match (fits(&likely), fits(&other)) {
            (true, false) => likely,
            (false, true) => other,
            _ if !waited_for(likely.id) && waited_for(other.id) => other,
            _ => likely,
        }
    }
}

/// What speaks against a reading, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Doubts {
    /// No answer can have the id.
    bad_id: bool,
    /// The text begins with a control character.
    no_text: bool,
    /// Nothing confirms the old protocol, as the version does the new one.
    unconfirmed: bool,
    /// The text begins with NUL.
    begins_with_nul: bool,
    /// No old program is known to have had such ids.
    odd_id: bool,
    id: i64,
}

impl Doubts {
    fn sure(self) -> bool {
        !self.bad_id && !self.no_text
    }
}

/// `None` when the message's own bytes rule this layout out.
fn doubts(message: &Message, mtext: &[u8]) -> Option<Doubts> {
    let Message { layout, id, text, .. } = *message;
    let version = mtext.get(layout.id_len()..layout.id_len() + 2).filter(|_| layout.has_pid());
    let known = version.is_none_or(|version| layout.number(version) == NEW_PROTOCOL_VERSION.into());
    // Behind the four zeros of a 32-bit sender's id 0, a character that can be seen begins a text; and what no
    // program has for an id is more likely some other version than an id of 64 bits.
    let no_id_of_64_bits =
        layout == Layout::Lp64OldBe && (begins_text(mtext[4]) || !usual(id) && !is_of_our_clients(id));
    (known && !no_id_of_64_bits).then(|| Doubts {
        bad_id: !(0..=MAX_ID).contains(&id),
        no_text: text.first().is_some_and(|first| !begins_text(*first)),
        unconfirmed: !layout.has_pid(),
        begins_with_nul: text.first() == Some(&0),
        odd_id: !usual(id),
        id,
    })
}

/// Whether programs had such ids: 1024 + pid was kdsend's and kdstat's (pids are below 2^22), and those
/// from `KERNELD_MINSEQ` were the kernel's.
fn usual(id: i64) -> bool {
    id == 0 || (1025..=1024 + (1 << 22)).contains(&id) || id >= 0x7fff_0000
}

/// Whether our own clients could have made it: the lowest byte of their ids is 128 or more.
fn is_of_our_clients(id: i64) -> bool {
    id & 0x80 != 0
}

fn begins_text(byte: u8) -> bool {
    !byte.is_ascii_control()
}

impl Message<'_> {
    /// Whether it makes no difference which of the two is meant: nobody waits for the answer to either.
    fn means_as_much(&self, other: &Message) -> bool {
        (self.id, other.id) == (0, 0) && (self.pid, self.text) == (other.pid, other.text)
    }
}

const _: () = {
    assert!(Layout::Ilp32Old.header_len() == 4);
    assert!(Layout::Ilp32New.header_len() == 8);
    assert!(Layout::Lp64Old.header_len() == 8);
    assert!(Layout::Lp64New.header_len() == 12);
};
