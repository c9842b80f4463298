//! A daemon for one test, on a queue and in a directory of its own, with a recorder as its helper.

use kerneld_protocol::client::{Answer, Client, Failure};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command as Request;
use kerneld_protocol::wire::Layout;
use kerneld_recorder::{self as recorder, Record};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

pub use kerneld_test_support::daemon::wait_until_ready;
pub use kerneld_test_support::process::{children, comm};
pub use kerneld_test_support::{PATIENCE, fresh_key, wait_until as wait_for};

pub struct Daemon {
    pub key: i32,
    pub dir: TempDir,
    pub process: Child,
}

pub fn kerneld() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kerneld"))
}

/// A program of another package of this workspace, which `cargo test --workspace` builds beside ours.
pub fn program(name: &str) -> Command {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_kerneld")).with_file_name(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    Command::new(path)
}

pub fn launch(dir: &TempDir, key: i32, args: &[&str]) -> Child {
    let log = dir.path().join("log");
    let file = fs::File::options().append(true).create(true).open(&log).unwrap();
    // Never the machine's own configuration.
    let config = dir.path().join("empty.toml");
    fs::write(&config, "").unwrap();
    let configured = args.iter().any(|arg| arg.starts_with("--config"));
    let mut process = kerneld()
        .args(["--foreground", "--ready-fd=1", "--key", &key.to_string()])
        .args((!configured).then(|| format!("--config={}", config.display())))
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .unwrap();
    let serves = wait_until_ready(&mut process);
    assert!(serves, "the daemon ended: {}", fs::read_to_string(&log).unwrap());
    process
}

impl Daemon {
    pub fn start(args: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let recorder = recorder::install(dir.path(), env!("CARGO_BIN_EXE_kerneld").as_ref()).unwrap();
        let modprobe = format!("--modprobe={}", recorder.display());
        let args: Vec<&str> = [modprobe.as_str()].into_iter().chain(args.iter().copied()).collect();
        Self::start_in(dir, fresh_key(), &args)
    }

    /// With just these arguments; waits until it serves.
    pub fn start_in(dir: TempDir, key: i32, args: &[&str]) -> Self {
        let process = launch(&dir, key, args);
        Daemon { key, dir, process }
    }

    /// Starts a daemon in place of one that was killed, on the same queue, directory and recorder.
    pub fn restart(&mut self, args: &[&str]) {
        fs::rename(self.dir.path().join("log"), self.dir.path().join("log.old")).unwrap();
        let modprobe = format!("--modprobe={}", self.dir.path().join(recorder::NAME).display());
        let args: Vec<&str> = [modprobe.as_str()].into_iter().chain(args.iter().copied()).collect();
        self.process = launch(&self.dir, self.key, &args);
    }

    pub fn client(&self, layout: Layout) -> Client {
        Client::open(self.key, layout).unwrap()
    }

    pub fn queue(&self) -> Queue {
        Queue::open(self.key).unwrap()
    }

    pub fn ask(&self, command: Request, text: &str) -> Result<Answer, Failure> {
        self.client(Layout::Lp64New).ask(command, text.as_bytes(), Some(PATIENCE))
    }

    /// The status of the answer.
    pub fn status(&self, command: Request, text: &str) -> i32 {
        self.ask(command, text).unwrap().status
    }

    pub fn kdstat(&self, words: &str) -> String {
        String::from_utf8(self.ask(Request::Debug, words).unwrap().text).unwrap()
    }

    pub fn records(&self) -> Vec<Record> {
        recorder::runs(self.dir.path()).unwrap()
    }

    /// Requests of this text that were taken in.
    pub fn accepted(&self, text: &str) -> usize {
        let text = format!("\"text\":\"{text}\"");
        let journal = fs::read_to_string(self.dir.path().join("state/journal")).unwrap();
        journal.lines().filter(|line| line.contains("\"accepted\"") && line.contains(&text)).count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Lets recorders that wait go on.
    pub fn go(&self) {
        fs::write(self.dir.path().join(recorder::GO), "").unwrap();
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.process.id() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The intake's pid: the daemon's only child that is not a recorder.
    pub fn intake(&self) -> i32 {
        self.find_intake().expect("an intake")
    }

    /// The same, while there is one.
    pub fn find_intake(&self) -> Option<i32> {
        children(self.process.id()).into_iter().find(|pid| comm(*pid) == "kerneld-intake")
    }

    pub fn end(&mut self) -> ExitStatus {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.process.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.go();
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end();
        }
        let left = Queue::clear_key(self.key);
        if !std::thread::panicking() {
            assert!(!left, "the daemon left its queue behind; its log:\n{}", self.log());
        }
    }
}
