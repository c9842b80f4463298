//! What the executor tells the intake, over an `ipc-channel` on which nothing goes the other way: its
//! receiver trusts whoever sends, and so only the unprivileged side may receive.
#![forbid(unsafe_code)]

use crate::order::judge::PersistNumbers;
use crate::order::ring::Position;
use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// All that there is to tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The first word.
    SetUp(SetUp),
    /// The numbers of get_persist and set_persist are others from now on.
    Persist(PersistNumbers),
    /// Pass on what is there, and end.
    Stop,
}

/// What an intake needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SetUp {
    /// The executor's pid.
    pub(crate) executor: u32,
    /// The id of the shared memory.
    pub(crate) memory: i32,
    /// Where in the ring to begin.
    pub(crate) position: Position,
    /// The queue's id.
    pub(crate) queue: i32,
    /// The one type to take; `None` for all of kerneld's.
    pub(crate) only_type: Option<i64>,
    /// The numbers of get_persist and set_persist.
    pub(crate) persist: PersistNumbers,
    /// User and group to become, if the executor may choose.
    pub(crate) become_user: Option<(u32, u32)>,
}

/// Makes a socket in the folder `sockets`, tells its name on standard output, and waits for the executor's
/// first word. The socket is gone then.
///
/// # Errors
/// A sentence with what failed; or the first word is another than [`Told::SetUp`].
pub(crate) fn receive_set_up(sockets: &Path) -> Result<(IpcReceiver<Told>, SetUp), String> {
    // The library makes its socket where temporary files go, which is a setting of the whole process.
    tempfile::env::override_temp_dir(sockets)
        .map_err(|other| format!("sockets go to {} already", other.display()))?;
    let failed = |error: &dyn std::fmt::Display| format!("cannot hear the executor: {error}");
    let (server, name) = IpcOneShotServer::new().map_err(|error| failed(&error))?;
    writeln!(std::io::stdout(), "{name}").map_err(|error| failed(&error))?;
    match server.accept().map_err(|error| failed(&error))? {
        (receiver, Told::SetUp(set_up)) => Ok((receiver, set_up)),
        (_, other) => Err(format!("the executor began with {other:?}")),
    }
}
