//! What the executor tells the intake, over an `ipc-channel` on which nothing goes the other way: its
//! receiver trusts whoever sends, and so only the unprivileged side may receive.
#![forbid(unsafe_code)]

use crate::order::judge::PersistNumbers;
use crate::order::ring::Position;
use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Everything that the executor tells the intake.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The first word.
    SetUp(SetUp),
    /// get_persist and set_persist have other numbers from now on.
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

/// Makes a socket in the folder `sockets`, writes its name to standard output, and waits for the executor's
/// first word. The socket is gone then.
///
/// # Errors
/// A sentence with what failed; or the first word is not [`Told::SetUp`].
pub(crate) fn receive_set_up(sockets: &Path) -> Result<(IpcReceiver<Told>, SetUp), String> {
    // The library makes its socket where temporary files go, which is a setting of the whole process.
    tempfile::env::override_temp_dir(sockets)
        .map_err(|other| format!("sockets already go to {}", other.display()))?;
    let failed = |error: &dyn std::fmt::Display| format!("cannot receive from the executor: {error}");
    let (server, name) = IpcOneShotServer::new().map_err(|error| failed(&error))?;
    writeln!(std::io::stdout(), "{name}").map_err(|error| failed(&error))?;
    match server.accept().map_err(|error| failed(&error))? {
        (receiver, Told::SetUp(set_up)) => Ok((receiver, set_up)),
        (_, other) => Err(format!("the executor began with {other:?}")),
    }
}

/// Where the socket lies over which an intake hears the executor, for as long as it takes to connect: a folder
/// in the state folder, and where nothing can be written there, in another one of root's; never in `$TMPDIR`.
/// Removed with this value.
#[derive(Debug)]
pub(crate) struct Sockets {
    path: PathBuf,
    folder: File,
}

impl Sockets {
    /// Makes the folder anew, without what a killed daemon may have left there.
    ///
    /// # Errors
    /// A sentence, when it cannot be made anywhere.
    pub(crate) fn make(state_dir: &Path) -> Result<Self, String> {
        let name = format!("kerneld-{}", std::process::id());
        let elsewhere = ["/run", "/dev/shm"].map(|folder| Path::new(folder).join(&name));
        let mut places = vec![state_dir.join("intake")];
        places.extend(elsewhere);
        let mut why = String::new();
        for path in places {
            match Self::make_at(&path) {
                Ok(sockets) => return Ok(sockets),
                Err(error) => why += &format!("; {}: {error}", path.display()),
            }
        }
        Err(format!("there is no folder for the intake's socket{why}"))
    }

    fn make_at(path: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(path)?;
        let folder =
            OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)?;
        let sockets = Sockets { path: path.to_owned(), folder };
        // One folder more, as the library makes it.
        let probe = path.join("probe");
        DirBuilder::new().create(&probe).and_then(|()| fs::remove_dir(&probe))?;
        Ok(sockets)
    }

    /// A short name of the folder, whatever its path: a socket's path may have no more than 107 bytes.
    pub(crate) fn short_path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.folder.as_raw_fd()).into()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_however_long_the_path_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(200));
        fs::create_dir(&long).unwrap();
        fs::create_dir_all(long.join("intake/.left")).unwrap();
        let sockets = Sockets::make(&long).unwrap();
        let socket = sockets.short_path().join(".tmp012345/socket");
        fs::create_dir(socket.parent().unwrap()).unwrap();
        std::os::unix::net::UnixListener::bind(&socket).unwrap();
        drop(sockets);
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }

    #[test]
    fn a_state_folder_that_takes_nothing_is_no_obstacle() {
        let sockets = Sockets::make(Path::new("/proc/self")).unwrap();
        assert!(!sockets.path.starts_with("/proc"));
    }
}
