//! Where the socket lies over which an intake hears the executor, for as long as it takes to connect: in the
//! state folder, and where nothing can be written there, in another folder of root's; never in `$TMPDIR`.
#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of our own, removed with this value.
#[derive(Debug)]
pub(crate) struct Sockets {
    path: PathBuf,
    folder: File,
}

impl Sockets {
    /// Makes the folder anew, without what a killed daemon may have left there.
    ///
    /// # Errors
    /// A sentence, when it can be made nowhere.
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

    /// A short name of the folder, whatever its path: a socket's may have no more than 107 bytes.
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
