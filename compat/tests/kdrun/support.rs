//! A folder, a queue and one who answers on it, for one test.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kerneld_compat::queue::{Buffer, Queue, Select};
use kerneld_compat::request::Request;
use nix::unistd::geteuid;
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
        command.arg("--key").arg(format!("{:#x}", self.key));
        command
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

fn rand_bytes() -> [u8; 4] {
    let mut bytes = [0; 4];
    let mut random = fs::File::open("/dev/urandom").expect("/dev/urandom");
    std::io::Read::read_exact(&mut random, &mut bytes).expect("random bytes");
    bytes
}

/// Waits for what must come; fails only when it has not for so long that it never will.
pub fn wait_until(what: &str, done: impl Fn() -> bool) {
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

/// The queue of a place's key, and a thread that answers each request named `exitN` with status N.
pub struct Daemon {
    pub queue: Queue,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    pub fn start(place: &Place, mode: i32) -> Self {
        let queue = Queue::create(place.key, mode).expect("a queue of a fresh key");
        let thread = Some(thread::spawn(move || serve(queue)));
        Daemon { queue, thread }
    }

    pub fn id(&self) -> String {
        self.queue.id().to_string()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.queue.remove().expect("our own queue");
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
    }
}

fn serve(queue: Queue) {
    let mut buffer = Buffer::default();
    // Ends when the queue is removed.
    while queue.receive(Select::UpTo(255), &mut buffer).is_ok() {
        let request = Request::parse(buffer.mtype(), buffer.mtext()).expect("a whole request");
        let name = std::str::from_utf8(request.text).expect("a name");
        let status = name.strip_prefix("exit").and_then(|n| n.parse().ok()).unwrap_or(255);
        let _ = queue.send(request.reply.id.into(), &request.reply.answer(status, b""));
    }
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
