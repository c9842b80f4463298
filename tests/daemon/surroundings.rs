//! A machine that does not help: strangers at the queue, a log that nobody reads, no room on the disk.

use crate::support::{Daemon, fresh_key, kerneld, wait_for, wait_until_ready};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use kerneld_test_support::{as_root, have_program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use std::io::ErrorKind;
use tempfile::TempDir;

/// Runs the daemon by way of a shell, which may prepare what it inherits.
fn from_shell(dir: TempDir, before: &str, args: &str) -> Daemon {
    let key = fresh_key();
    std::fs::write(dir.path().join("empty.toml"), "").unwrap();
    let (program, path) = (env!("CARGO_BIN_EXE_kerneld"), dir.path().display());
    let script = format!(
        "{before} exec {program} --foreground --dry-run --ready-fd 1 --key {key} --state-dir {path}/state \
         --config {path}/empty.toml {args}"
    );
    let mut process = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    if !wait_until_ready(&mut process) {
        panic!("{}", std::io::read_to_string(process.stderr.take().unwrap()).unwrap());
    }
    Daemon { key, dir, process }
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut daemon = from_shell(TempDir::new().unwrap(), "", "debug");
    // Some 500 bytes of log each, into a pipe of 65536.
    for number in 0..1000 {
        assert_eq!(daemon.status(Command::RequestModule, &format!("{number:050}")), 0);
    }
    kill(Pid::from_raw(daemon.process.id() as i32), Signal::SIGTERM).unwrap();
    assert!(daemon.process.wait().unwrap().success());
    assert_eq!(Queue::open(daemon.key), Err(nix::errno::Errno::ENOENT));
}

#[test]
fn what_was_open_at_the_start_reaches_neither_process() {
    let daemon = from_shell(TempDir::new().unwrap(), "exec 7</dev/zero 9</dev/zero;", "");
    for pid in [daemon.process.id() as i32, daemon.intake()] {
        let open = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            // The intake lets nobody but root look.
            Err(error) if pid != daemon.process.id() as i32 && !Uid::effective().is_root() => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                continue;
            }
            open => open.unwrap(),
        };
        let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        assert!(targets.map(|target| target.to_string_lossy().into_owned()).all(|name| name != "/dev/zero"));
    }
}

#[test]
fn a_limit_on_the_size_of_files_costs_records_and_no_answers() {
    let daemon = from_shell(TempDir::new().unwrap(), "ulimit -f 1;", "");
    for _ in 0..50 {
        assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
    }
}

#[test]
fn a_full_state_folder_does_not_keep_it_from_serving() {
    if !as_root() || !have_program("unshare") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    let full = format!(
        "mkdir {0}; exec unshare -m /bin/sh -c 'mount -t tmpfs -o size=4k,mode=700 none {0}; \
         head -c 5000 /dev/zero >{0}/full 2>/dev/null; shift; exec \"$@\"' sh",
        state.display()
    );
    // The next word is `exec`, which the shell within shifts away.
    let daemon = from_shell(dir, &full, "");
    assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
}

#[test]
fn a_queue_that_another_user_made_is_removed_by_root_and_refused_by_users() {
    if !as_root() {
        return;
    }
    let key = fresh_key();
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let start = |dir: &TempDir, user: u32| {
        use std::os::unix::process::CommandExt;
        std::os::unix::fs::chown(dir.path(), Some(user), None).unwrap();
        std::fs::write(dir.path().join("empty.toml"), "").unwrap();
        kerneld()
            .args(["--foreground", "--dry-run", "--ready-fd=1", "--key", &key.to_string()])
            .arg(format!("--state-dir={}", dir.path().join("state").display()))
            .arg(format!("--config={}", dir.path().join("empty.toml").display()))
            .uid(user)
            .stdout(std::process::Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap()
    };
    let [theirs, ours] = dirs;
    let mut squatter = start(&theirs, 4242);
    assert!(wait_until_ready(&mut squatter));
    let queue = Queue::open(key).unwrap();
    let mut process = start(&ours, 0);
    assert!(wait_until_ready(&mut process));
    let daemon = Daemon { key, dir: ours, process };
    assert!(daemon.queue() != queue && daemon.queue().stat().unwrap().creator.0 == 0);
    assert!(daemon.log().contains("made by user 4242"), "{}", daemon.log());
    assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
    squatter.kill().unwrap();
    squatter.wait().unwrap();
    let mut squatter = start(&theirs, 4242);
    assert!(!wait_until_ready(&mut squatter) && !squatter.wait().unwrap().success());
    let told = std::fs::read_to_string(theirs.path().join("log")).unwrap();
    assert!(told.contains("belongs to another user"), "{told}");
    assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
}

#[test]
fn a_queue_that_somebody_removes_is_made_anew_and_served() {
    let mut daemon = Daemon::start(&[]);
    for _ in 0..7 {
        let before = daemon.queue();
        before.remove().unwrap();
        wait_for("another queue", || Queue::open(daemon.key).is_ok_and(|queue| queue != before));
        assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
    }
    // A crash now: the journal knows which queue is served, so what was accepted is carried out.
    daemon.client(Layout::Lp64New).post(Command::RequestModule, b"waiting", None).unwrap();
    wait_for("the helper", || daemon.records().len() == 8);
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    std::fs::write(daemon.dir.path().join(kerneld_recorder::GO), "").unwrap();
    daemon.restart(&[]);
    wait_for("it to be taken up again", || daemon.log().contains("taken up again"));
    assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
}
