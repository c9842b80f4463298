//! A folder, a key and a daemon, for one test.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kerneld_compat::queue::Queue;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::c::{CC, Compiler};

/// For i386, static: what an old binary is.
pub const CC32: Compiler = Compiler::new("gcc-multilib", "cc", &["-m32", "-static"]);

/// The `-D` of the new protocol.
pub const NEW: &str = "-DNEW_KERNELD_PROTOCOL";
/// A user with no rights of its own.
pub const NOBODY: u32 = 65534;

/// A folder that every user may enter, and a key that no other test has.
pub struct Place {
    pub folder: TempDir,
    pub key: i32,
    kdrun: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our own folder");
        let kdrun = folder.path().join("kdrun");
        // By another process: a descriptor of ours, open for writing, could be in a child of another
        // test's when we execute the copy.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_kdrun")).arg(&kdrun).status().expect("cp");
        assert!(copied.success());
        let key = i32::from_ne_bytes(rand_bytes());
        Place { folder, key, kdrun }
    }

    /// `kdrun --key KEY`, to be followed by more options or the program.
    pub fn kdrun(&self) -> Command {
        let mut command = Command::new(&self.kdrun);
        command.arg("--key").arg(self.key());
        command
    }

    fn key(&self) -> String {
        format!("{:#x}", self.key)
    }

    /// `kdrun --key KEY PROGRAM ARG…`, run to its end.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        self.kdrun().arg(program).args(arguments).output().expect("kdrun starts")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client of `client.c`; none, with a loud word, without the compiler.
    pub fn client(&self, compiler: &Compiler, flags: &[&str]) -> Option<PathBuf> {
        compiler
            .works()
            .then(|| compiler.compile("client.c", &[&["-std=gnu89"], flags].concat(), self.folder.path()))
    }

    /// The client as this machine's compiler makes it.
    pub fn plain_client(&self) -> Option<PathBuf> {
        self.client(&CC, &[])
    }

    /// Each kind that was ever: i386 static, x86-64 static and dynamic; old and new protocol.
    pub fn every_client(&self) -> Vec<PathBuf> {
        let kinds: [(&Compiler, &[&str]); 6] = [
            (&CC32, &[]),
            (&CC32, &[NEW]),
            (&CC, &["-static"]),
            (&CC, &["-static", NEW]),
            (&CC, &[]),
            (&CC, &[NEW]),
        ];
        kinds.into_iter().filter_map(|(compiler, flags)| self.client(compiler, flags)).collect()
    }

    /// The pids of this place's supervisors: processes that are `kdrun` and not yet a program.
    pub fn supervisors(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).next() == Some(self.kdrun.as_os_str().as_encoded_bytes())
        })
        .collect()
    }

    /// Waits until the last supervisor has gone.
    pub fn all_supervisors_end(&self) {
        wait_until("the supervisors have ended", || self.supervisors().is_empty());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is none unless a daemon crashed.
        let _ = Queue::open(self.key).and_then(|queue| queue.remove());
    }
}

fn rand_bytes() -> [u8; 4] {
    let mut bytes = [0; 4];
    let mut random = fs::File::open("/dev/urandom").expect("/dev/urandom");
    std::io::Read::read_exact(&mut random, &mut bytes).expect("random bytes");
    bytes
}

/// Waits for what must come; fails only when it has not for so long that it never will.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "still waiting: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the process is a client and sleeps: `open` does so in msgget alone.
pub fn in_msgget(pid: u32) {
    wait_until("the program asks", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("our own child");
        stat.contains(" (client") && stat.contains(") S ")
    });
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
            .arg(Path::new(crate::COMPAT).join("tests/kdrun/modprobe"))
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
    let program = Path::new(env!("CARGO_BIN_EXE_kdrun")).with_file_name(name);
    if !program.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--workspace", "--bin", name]).status();
        assert!(built.is_ok_and(|status| status.success()), "{name} cannot be built");
    }
    program
}

/// `client again`: opens the channel each time it is asked.
pub struct Asker {
    pub child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Asker {
    /// Runs `command` with the argument `again`.
    pub fn start(command: &mut Command) -> Self {
        let command = command.arg("again").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the asker starts");
        let (to, from) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Asker { child, to, from: BufReader::new(from).lines() }
    }

    /// What it says to a word.
    pub fn ask(&mut self, word: &str) -> String {
        writeln!(self.to.as_mut().expect("a pipe"), "{word}").expect("it listens");
        self.from.next().expect("it answers").expect("in text")
    }

    /// Ends it; its exit status.
    pub fn end(&mut self) -> ExitStatus {
        drop(self.to.take());
        self.child.wait().expect("our child")
    }
}

/// Whether the test runs as root; says loudly what is left out otherwise.
pub fn root_or_skip() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("SKIP: only root can be several users");
    }
    root
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
