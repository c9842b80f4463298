//! A folder, a key and a real daemon, for one test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use kerneld_protocol::queue::Queue;
use kerneld_test_support::fresh_key;
pub use kerneld_test_support::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A folder that every user may enter, and a key that no other test has.
pub struct Place {
    pub folder: TempDir,
    key: i32,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our own folder");
        Place { folder, key: fresh_key() }
    }

    /// The key, as the programs take it.
    pub fn key(&self) -> String {
        format!("{:#x}", self.key)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is none unless a daemon crashed.
        let _ = Queue::open(self.key).and_then(|queue| queue.remove());
    }
}

/// A real kerneld on a place's key, whose helper exits with N for a module named `exitN`.
pub struct Daemon {
    pub queue: Queue,
    child: Child,
}

impl Daemon {
    /// Starts one whose queue has this mode, and waits until it serves.
    pub fn start(place: &Place, mode: u16) -> Self {
        let (config, log) = (place.path("kerneld.toml"), place.path("kerneld.log"));
        fs::write(&config, format!("[queue]\nmode = \"{mode:o}\"\n")).expect("a configuration");
        let mut child = Command::new(workspace_program("kerneld"))
            .args(["--foreground", "--key", &place.key()])
            .arg("--state-dir")
            .arg(place.path("state"))
            .arg("--config")
            .arg(config)
            .arg("--modprobe")
            .arg(Path::new(crate::COMPAT).join("tests/daemon/modprobe"))
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("kerneld starts");
        let said = || fs::read_to_string(&log).expect("the log");
        wait_until("kerneld serves", || {
            assert!(child.try_wait().expect("our child").is_none(), "kerneld: {}", said());
            said().contains("serving queue")
        });
        Daemon { queue: Queue::open(place.key).expect("the daemon's queue"), child }
    }

    pub fn id(&self) -> String {
        self.queue.id().to_string()
    }

    /// As in a crash: the queue stays.
    pub fn crash(mut self) {
        self.child.kill().expect("our daemon");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have crashed.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A program of the workspace, built when this crate is tested alone.
fn workspace_program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let program = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").join(name);
    if !program.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--workspace", "--bin", name]).status();
        assert!(built.is_ok_and(|status| status.success()), "{name} cannot be built");
    }
    program
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
