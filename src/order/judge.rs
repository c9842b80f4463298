//! Whether a request's text is one that its command may have. Pure: a request in, an action or a refusal out.
#![forbid(unsafe_code)]

use super::action::Action;
use super::name::{ModuleName, Refusal};
use kerneld_protocol::request::{Command, Request};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The message types of get_persist and set_persist, which no known source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistNumbers {
    /// `mtype` of get_persist.
    pub get: i64,
    /// `mtype` of set_persist.
    pub set: i64,
}

impl PersistNumbers {
    /// Numbers that no request has.
    pub const NONE: PersistNumbers = PersistNumbers { get: 0, set: 0 };
}

/// What follows from a request.
///
/// # Errors
/// A [`Refusal`] if its text is not one that its command may have.
pub fn judge(request: &Request, persist: PersistNumbers) -> Result<Action, Refusal> {
    let name = || ModuleName::new(request.text);
    match request.command {
        Command::System => Ok(Action::System(request.text.to_vec())),
        Command::RequestModule => name().map(Action::Load),
        Command::ReleaseModule => name().map(Action::Unload),
        Command::DelayedReleaseModule => name().map(Action::UnloadLater),
        Command::CancelReleaseModule => name().map(Action::CancelUnload),
        Command::RequestRoute => address(request.text).map(Action::Route),
        Command::ScreenBlanker => switch(request.text).map(Action::Blanker),
        Command::Debug => Ok(Action::Status(String::from_utf8_lossy(request.text).into_owned())),
        Command::Other(number) if number == persist.get => Ok(Action::GetPersist(request.text.to_vec())),
        Command::Other(number) if number == persist.set => Ok(Action::SetPersist(request.text.to_vec())),
        command @ (Command::Pnp | Command::Other(_)) => Ok(Action::Unknown(command)),
    }
}

/// An IPv4 or IPv6 address and nothing else: it becomes an argument of a helper.
fn address(text: &[u8]) -> Result<IpAddr, Refusal> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed
        .ok_or_else(|| Refusal::new(libc::EINVAL, format!("'{}' is not an IP address", text.escape_ascii())))
}

fn switch(text: &[u8]) -> Result<bool, Refusal> {
    match text {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Refusal::new(libc::EINVAL, format!("'{}' is neither on nor off", text.escape_ascii()))),
    }
}
