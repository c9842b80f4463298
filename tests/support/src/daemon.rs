//! A folder, a key and a real daemon, for one test.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use kerneld_protocol::queue::Queue;
use kerneld_recorder as recorder;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::{signal, workspace_program};

/// A folder that every user may enter, and a key that no other test has.
pub struct Place {
    /// The folder, removed when dropped.
    pub folder: TempDir,
    key: i32,
}

impl Place {
    /// A place with nothing in it.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our own folder");
        Place { folder, key: Queue::free_key() }
    }

    /// The key, as the programs take it.
    pub fn key(&self) -> String {
        format!("{:#x}", self.key)
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Default for Place {
    fn default() -> Self {
        Place::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is none unless a daemon crashed.
        Queue::clear_key(self.key);
    }
}

/// A real kerneld on a place's key, whose helper is a recorder: it exits with N for a module named `exitN`.
pub struct Daemon {
    /// Its queue.
    pub queue: Queue,
    child: Child,
}

impl Daemon {
    /// Starts one whose queue has this mode, and waits until it serves.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(place: &Place, mode: u16) -> Self {
        let (config, log) = (place.path("kerneld.toml"), place.path("kerneld.log"));
        fs::write(&config, format!("[queue]\nmode = \"{mode:o}\"\n")).expect("a configuration");
        let program = workspace_program("kerneld");
        let helper = place.path(recorder::NAME);
        if !helper.exists() {
            recorder::install(place.folder.path(), &program).expect("a recorder");
        }
        let mut child = Command::new(program)
            .args(["--foreground", "--ready-fd=1", "--key", &place.key()])
            .arg("--state-dir")
            .arg(place.path("state"))
            .arg("--config")
            .arg(config)
            .arg("--modprobe")
            .arg(&helper)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("kerneld starts");
        let serves = wait_until_ready(&mut child);
        assert!(serves, "kerneld: {}", fs::read_to_string(&log).expect("the log"));
        Daemon { queue: Queue::open(place.key).expect("the daemon's queue"), child }
    }

    /// The queue's id, as programs take it.
    pub fn id(&self) -> String {
        self.queue.id().to_string()
    }

    /// As in a crash: the queue stays.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn crash(mut self) {
        self.child.kill().expect("our daemon");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        signal(&self.child, Signal::SIGTERM);
        // It may have crashed.
        let _ = self.child.wait();
    }
}

/// Waits until a daemon whose standard output is a pipe, and which was started with `--ready-fd=1`, serves;
/// false if it ends before.
///
/// # Panics
/// When its standard output is not a pipe.
pub fn wait_until_ready(daemon: &mut Child) -> bool {
    let pipe = daemon.stdout.take().expect("the daemon's standard output");
    BufReader::new(pipe).lines().next().is_some_and(|line| line.is_ok())
}

/// A program's output, as text without blanks around it.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
