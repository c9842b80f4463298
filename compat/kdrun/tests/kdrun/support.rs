//! What only the tests of kdrun need: its clients, its supervisors.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

use std::thread;
use std::time::Duration;

use kerneld_test_support::compiler::{CC, CC32, Compiler};
use kerneld_test_support::{daemon, wait_until};

/// The `-D` of the new protocol.
pub const NEW: &str = "-DNEW_KERNELD_PROTOCOL";
/// A user with no rights of its own.
pub const NOBODY: u32 = 65534;

/// A place with a kdrun that every user may run.
pub struct Place {
    place: daemon::Place,
    kdrun: PathBuf,
}

impl Deref for Place {
    type Target = daemon::Place;

    fn deref(&self) -> &daemon::Place {
        &self.place
    }
}

impl Place {
    pub fn new() -> Self {
        let place = daemon::Place::new();
        let kdrun = place.path("kdrun");
        // By another process: a descriptor of ours, open for writing, could be in a child of another
        // test's when we execute the copy.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_kdrun")).arg(&kdrun).status().expect("cp");
        assert!(copied.success());
        Place { place, kdrun }
    }

    /// `kdrun --key KEY`, to be followed by more options or the program.
    pub fn kdrun(&self) -> Command {
        let mut command = Command::new(&self.kdrun);
        command.arg("--key").arg(self.key());
        command
    }

    /// `kdrun --key KEY PROGRAM ARG…`, run to its end.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        self.kdrun().arg(program).args(arguments).output().expect("kdrun starts")
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

/// Waits until the process is a client and sleeps: `open` does so in msgget alone.
pub fn in_msgget(pid: u32) {
    wait_until("the program asks", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("our own child");
        stat.contains(" (client") && stat.contains(") S ")
    });
}

/// How often a process was put to sleep or interrupted (proc_pid_status(5)).
pub fn wake_ups(pid: i32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect()
}

/// Waits until the process has slept through a time in which a busy one would have woken up.
pub fn asleep(pid: i32) {
    wait_until("the process sleeps", || {
        let before = wake_ups(pid);
        thread::sleep(Duration::from_millis(300));
        before == wake_ups(pid)
    });
}

/// `client again`: opens the queue each time it is asked.
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
