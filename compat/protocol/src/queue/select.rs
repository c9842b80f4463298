//! Which messages to take.
#![forbid(unsafe_code)]

use nix::errno::Errno;

/// Which messages to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The first of any type.
    Any,
    /// The first of just this type.
    Exactly(i64),
    /// The lowest type up to this one, as kerneld's `msgrcv(type = -255)`.
    UpTo(i64),
}

impl Select {
    /// What kerneld's word `type=N` selects: a number above 0 just that type, one below 0 the types up to it,
    /// as for msgrcv. Of 0, which meant any type, all that cannot be an answer to a client: kdsend and kdstat
    /// ask theirs under 1024 and more (modutils 2.4).
    pub fn of_word(number: i64) -> Self {
        match number {
            1.. => Select::Exactly(number),
            0 => Select::UpTo(1023),
            _ => Select::UpTo(number.saturating_neg()),
        }
    }

    /// `msgrcv`'s argument: no message has a type for which a 32-bit system has no room.
    pub(super) fn msgtyp(self) -> Result<libc::c_long, Errno> {
        let wanted = match self {
            Select::Any => 0,
            Select::Exactly(mtype) => mtype,
            Select::UpTo(highest) => -highest,
        };
        wanted.try_into().map_err(|_| Errno::EINVAL)
    }

    /// Whether a message of this type is selected.
    pub fn takes(self, mtype: i64) -> bool {
        match self {
            Select::Any => true,
            Select::Exactly(only) => mtype == only,
            Select::UpTo(highest) => (1..=highest).contains(&mtype),
        }
    }
}
