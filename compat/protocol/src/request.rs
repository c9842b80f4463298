//! Requests, typed: the command numbers of `include/linux/kerneld.h` and what an answer needs.
#![forbid(unsafe_code)]

use crate::wire::{Layout, MAX_ID, Message, Reading};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a message's `mtype` asks for (`KERNELD_*` of `kerneld.h`, Linux 2.0-2.1.89; 255 by modutils' kdstat).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Command {
    /// 1: run a shell command.
    System,
    /// 2: load a module or what an alias stands for.
    RequestModule,
    /// 3: unload a module.
    ReleaseModule,
    /// 4: unload a module after the delay.
    DelayedReleaseModule,
    /// 5: take back what 4 asked.
    CancelReleaseModule,
    /// 6: set up a route to an address.
    RequestRoute,
    /// 7: screen blanker on or off.
    ScreenBlanker,
    /// 8: plug and play, never served (2.1 only).
    Pnp,
    /// 255: kdstat's words.
    Debug,
    /// Any other number.
    Other(i64),
}

impl Command {
    /// Every command that has a number of its own.
    pub const KNOWN: [Command; 9] = [
        Command::System,
        Command::RequestModule,
        Command::ReleaseModule,
        Command::DelayedReleaseModule,
        Command::CancelReleaseModule,
        Command::RequestRoute,
        Command::ScreenBlanker,
        Command::Pnp,
        Command::Debug,
    ];

    /// The number on the wire (`mtype`).
    pub const fn number(self) -> i64 {
        match self {
            Command::System => 1,
            Command::RequestModule => 2,
            Command::ReleaseModule => 3,
            Command::DelayedReleaseModule => 4,
            Command::CancelReleaseModule => 5,
            Command::RequestRoute => 6,
            Command::ScreenBlanker => 7,
            Command::Pnp => 8,
            Command::Debug => 255,
            Command::Other(number) => number,
        }
    }

    /// The command of a number.
    pub fn from_number(number: i64) -> Self {
        Self::KNOWN.into_iter().find(|known| known.number() == number).unwrap_or(Command::Other(number))
    }

    /// The command of a name, as kdstat prints them (`request_module`…).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|known| known.to_string() == name)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Command::System => "system",
            Command::RequestModule => "request_module",
            Command::ReleaseModule => "release_module",
            Command::DelayedReleaseModule => "delayed_release_module",
            Command::CancelReleaseModule => "cancel_release_module",
            Command::RequestRoute => "request_route",
            Command::ScreenBlanker => "screenblanker",
            Command::Pnp => "pnp",
            Command::Debug => "debug",
            Command::Other(number) => return write!(f, "command {number}"),
        };
        f.pad(name)
    }
}

/// Where an answer goes, and in which layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The answer's `mtype`, 1 to [`MAX_ID`]; 0 when nobody waits for one.
    pub id: i32,
    /// The request's layout, which the answer keeps.
    pub layout: Layout,
    /// The request's pid field, which the answer keeps; 0 in the old protocol.
    pub pid: i16,
}

impl ReplyTo {
    /// What the same request means in the other layout that its bytes allow ([`Reading::of`]); its text is
    /// the same in both.
    pub fn other_reading(&self, text: &[u8]) -> Option<ReplyTo> {
        let open = match self.layout {
            Layout::Ilp32Old | Layout::Ilp32OldBe => self.wanted(),
            Layout::Ilp32New | Layout::Ilp32NewBe => !self.wanted(),
            Layout::Lp64OldBe => true,
            Layout::Lp64Old | Layout::Lp64New | Layout::Lp64NewBe => false,
        };
        let mtext = open.then(|| self.answer(self.id, text))?;
        let Reading { likely, other } = Reading::of(&mtext).ok()?;
        let other = [likely, other?].into_iter().find(|message| message.layout != self.layout)?;
        debug_assert_eq!(other.text, text, "old and new headers of two readings are equally long");
        let id = i32::try_from(other.id).ok()?;
        Some(ReplyTo { id, layout: other.layout, pid: other.pid })
    }

    /// Whether an answer is wanted.
    pub fn wanted(&self) -> bool {
        self.id != 0
    }

    /// The pid a new-protocol request carries: the low 16 bits of the sender's, as a signed short.
    pub fn sender_pid(&self) -> Option<i16> {
        self.layout.has_pid().then_some(self.pid)
    }

    /// The answer's `mtext`: `status` in the id's place, then `text`.
    pub fn answer(&self, status: i32, text: &[u8]) -> Vec<u8> {
        let ReplyTo { layout, pid, .. } = *self;
        Message { layout, id: i64::from(status), pid, text }.encode()
    }
}

/// A request: what is asked, about what, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is asked.
    pub command: Command,
    /// The command's text: a module's name, an address, words…
    pub text: &'a [u8],
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// Why a message is not a request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The header is cut short.
    Short(crate::wire::TooShort),
    /// The id is negative or over [`MAX_ID`], so no answer could be sent under it.
    Id(i64),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Short(short) => short.fmt(f),
            Malformed::Id(id) => write!(f, "id {id} is not between 0 and {MAX_ID}"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Request<'a> {
    /// Reads a request from a message of type `mtype`.
    ///
    /// # Errors
    /// [`Malformed`] when no answer could be given to it.
    pub fn parse(mtype: i64, mtext: &'a [u8]) -> Result<Self, Malformed> {
        Self::of(mtype, Message::decode(mtext).map_err(Malformed::Short)?)
    }

    /// The request of a message of type `mtype` that has been decoded.
    ///
    /// # Errors
    /// [`Malformed::Id`].
    pub fn of(mtype: i64, message: Message<'a>) -> Result<Self, Malformed> {
        let id = i32::try_from(message.id).ok().filter(|id| *id >= 0).ok_or(Malformed::Id(message.id))?;
        Ok(Request {
            command: Command::from_number(mtype),
            text: message.text,
            reply: ReplyTo { id, layout: message.layout, pid: message.pid },
        })
    }
}
