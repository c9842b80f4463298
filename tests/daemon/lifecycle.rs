//! Start, end, and what happens when a part of it dies.

use crate::support::{Daemon, PATIENCE, comm, fresh_key, kerneld, program, wait_for};
use kerneld_protocol::client::{Client, Failure};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use tempfile::TempDir;

#[test]
fn in_the_background_it_tells_its_pid_once_it_serves() {
    let dir = TempDir::new().unwrap();
    let key = fresh_key();
    let started = kerneld()
        .args(["--key", &key.to_string(), "--dry-run", "--state-dir"])
        .arg(dir.path().join("state"))
        .args(["delay=5", "keep"])
        .output()
        .unwrap();
    let text = String::from_utf8(started.stdout).unwrap();
    let pid = text
        .strip_prefix(concat!("Starting kerneld, version ", env!("CARGO_PKG_VERSION"), " (pid "))
        .and_then(|rest| rest.strip_suffix(")\n"))
        .unwrap_or_else(|| panic!("{text:?} {:?}", String::from_utf8(started.stderr)))
        .parse()
        .unwrap();
    let answer =
        Client::open(key, Layout::Lp64New).unwrap().ask(Command::Debug, b"", Some(PATIENCE)).unwrap();
    assert!(String::from_utf8(answer.text).unwrap().contains(&format!("pid={pid}, delay=5, keep, nodebug")));
    // As ps, pidof and killall find it; `killall -HUP kerneld` is how old scripts have it read its configuration again.
    assert_eq!(comm(pid), "kerneld");
    assert!(fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"kerneld\0"));
    assert_eq!(fs::read_to_string(dir.path().join("state/pid")).unwrap(), format!("{pid}\n"));
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    wait_for("the queue to go", || Queue::open(key).is_err());
    wait_for("the daemon to go", || comm(pid) != "kerneld");
    assert!(!dir.path().join("state/pid").exists());
}

/// As `kill -HUP $(pidof kerneld)` does, which finds the intake by its program, too.
#[test]
fn a_signal_to_all_its_processes_leaves_the_intake_running() {
    let daemon = Daemon::start(&[]);
    let intake = daemon.intake();
    for _ in 0..20 {
        kill(Pid::from_raw(intake), Signal::SIGHUP).unwrap();
        daemon.signal(Signal::SIGHUP);
        assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
    }
    assert_eq!(daemon.intake(), intake);
}

#[test]
fn a_second_daemon_on_the_key_is_refused_with_the_firsts_state() {
    let daemon = Daemon::start(&[]);
    let dir = TempDir::new().unwrap();
    let second = kerneld()
        .args(["--foreground", "--key", &daemon.key.to_string(), "--state-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    assert!(
        error.contains("is served already") && error.contains(&format!("pid={}", daemon.process.id())),
        "{error}"
    );
    assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3, "the first one goes on");
}

#[test]
fn a_second_daemon_in_the_state_directory_is_refused() {
    let daemon = Daemon::start(&[]);
    let second = kerneld()
        .args(["--foreground", "--key", &fresh_key().to_string(), "--state-dir"])
        .arg(daemon.dir.path().join("state"))
        .output()
        .unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains("belongs to a running kerneld"), "{error}");
}

#[test]
fn the_queue_of_a_killed_daemon_is_taken_over() {
    let mut first = Daemon::start(&[]);
    let id = first.queue().id();
    let intake = first.intake();
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    wait_for("the intake to see that it is alone", || comm(intake) != "kerneld-intake");
    let recorder = first.dir.path().join(kerneld_recorder::NAME);
    let second =
        Daemon::start_in(TempDir::new().unwrap(), first.key, &["--modprobe", recorder.to_str().unwrap()]);
    assert_eq!(second.queue().id(), id);
    assert_eq!(second.status(Command::RequestModule, "exit5"), 5);
    drop(second);
}

#[test]
fn at_its_end_it_answers_what_it_owes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(&[]);
        let client = daemon.client(Layout::Lp64New);
        let waiting =
            std::thread::spawn(move || client.ask(Command::RequestModule, b"sleep700", Some(PATIENCE)));
        wait_for("the helper", || daemon.records().len() == 1);
        daemon.signal(signal);
        assert_eq!(waiting.join().unwrap().unwrap().status, 0);
        assert!(daemon.process.wait().unwrap().success());
        assert!(Queue::open(daemon.key).is_err());
        assert_eq!(Client::open(daemon.key, Layout::Lp64New).unwrap_err(), Failure::NoDaemon);
    }
}

#[test]
fn an_intake_that_dies_is_replaced_and_what_runs_is_answered() {
    let daemon = Daemon::start(&[]);
    let client = daemon.client(Layout::Lp64New);
    let waiting = std::thread::spawn(move || client.ask(Command::RequestModule, b"wait", Some(PATIENCE)));
    wait_for("the helper", || daemon.records().len() == 1);
    let intake = daemon.intake();
    kill(Pid::from_raw(intake), Signal::SIGKILL).unwrap();
    // The kernel hands a message to a reader that is waiting, even to one that is being killed.
    wait_for("it to be gone", || comm(intake).is_empty());
    assert_eq!(daemon.status(Command::RequestModule, "exit4"), 4);
    assert_ne!(daemon.intake(), intake);
    assert_eq!(daemon.records()[1].fds.len(), 3, "nothing of the new channel reaches helpers");
    daemon.go();
    assert_eq!(waiting.join().unwrap().unwrap().status, 0);
}

#[test]
fn the_intake_has_given_up_what_it_does_not_need() {
    let daemon = Daemon::start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.intake())).unwrap();
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} in {status}"));
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    if nix::unistd::Uid::effective().is_root() && !daemon.log().contains("the intake stays root") {
        assert_eq!(field("CapBnd"), "0000000000000000");
        assert!(!field("Uid").split_whitespace().any(|id| id == "0"));
    }
}

#[test]
fn kdsend_and_kdstat_speak_like_the_old_ones() {
    let daemon = Daemon::start(&[]);
    let key = daemon.key.to_string();
    let run = |name: &str, args: &[&str]| {
        let output = program(name).args(["--key", &key]).args(args).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    };
    assert_eq!(run("kdsend", &["-r", "2", "exit7"]), ("recieved 12 bytes: ''\n".to_owned(), 7));
    assert_eq!(
        run("kdsend", &["-r", "--layout", "ilp32-old", "request_module", "x"]).0,
        "recieved 4 bytes: ''\n"
    );
    assert_eq!(run("kdsend", &["-r", "--historical-exit", "2", "exit7"]).1, 12);
    assert_eq!(run("kdsend", &["-r", "2", "-C/tmp/x"]).1, 126);
    assert_eq!(run("kdsend", &["2", "plain"]), (String::new(), 0));
    wait_for("the request without an answer", || {
        daemon.records().iter().any(|record| record.argv[3] == "plain")
    });
    let (text, code) = run("kdstat", &["keep"]);
    assert!(code == 0 && text.ends_with(", delay=60, keep, nodebug\nno jobs waiting\n"), "{text}");
    let nobody =
        program("kdsend").args(["--key", &fresh_key().to_string(), "-r", "2", "x"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(125));
}

#[test]
fn type_n_serves_that_type_alone() {
    let daemon = Daemon::start(&["type=2"]);
    assert_eq!(daemon.status(Command::RequestModule, "exit6"), 6);
    assert_eq!(daemon.ask(Command::ReleaseModule, "x"), Err(Failure::NoDaemon));
}

#[test]
fn mistakes_in_the_configuration_stop_the_start_with_file_and_line() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("kerneld.toml");
    std::fs::write(&file, "[queue]\nmodus = 1\n").unwrap();
    let output = kerneld()
        .args(["--foreground", "--key", &fresh_key().to_string(), "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("kerneld.toml:2: "), "{error}");
}

#[test]
fn a_service_manager_is_told_when_requests_are_served() {
    let dir = tempfile::TempDir::new().unwrap();
    let manager = std::os::unix::net::UnixDatagram::bind(dir.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    std::fs::write(dir.path().join("empty.toml"), "").unwrap();
    let key = fresh_key();
    let process = crate::support::kerneld()
        .args(["--foreground", "--dry-run", "--key", &key.to_string()])
        .arg(format!("--config={}", dir.path().join("empty.toml").display()))
        .arg(format!("--state-dir={}", dir.path().join("state").display()))
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let daemon = Daemon { key, dir, process };
    let mut text = [0; 200];
    let length = manager.recv(&mut text).unwrap();
    let told = String::from_utf8_lossy(&text[..length]);
    assert!(told.lines().any(|line| line == "READY=1"), "{told}");
    assert_eq!(daemon.status(Command::RequestModule, "ppp"), 0);
}

#[test]
fn a_helper_that_outlived_its_daemon_is_waited_for_and_not_run_a_second_time_beside_it() {
    let mut daemon = Daemon::start(&[]);
    daemon.client(Layout::Lp64New).post(Command::RequestModule, b"waiting", None).unwrap();
    wait_for("the helper", || daemon.records().len() == 1);
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    daemon.restart(&[]);
    // Answered after the request from before has been taken up again.
    assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
    assert!(daemon.kdstat("").contains("'waiting'"));
    let runs = || daemon.records().iter().filter(|record| record.argv.last().unwrap() == "waiting").count();
    assert_eq!(runs(), 1);
    fs::write(daemon.dir.path().join(kerneld_recorder::GO), "").unwrap();
    wait_for("its end", || daemon.kdstat("").contains("no jobs waiting"));
    assert_eq!(daemon.status(Command::RequestModule, "exit3"), 3);
}

#[test]
fn a_configuration_can_be_checked_without_a_start() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("k.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let checked = kerneld().args(["--check-config", "--config"]).arg(&file).output().unwrap();
        (checked.status.success(), String::from_utf8(checked.stderr).unwrap())
    };
    assert_eq!(check("[queue]\nmode = \"0600\"\n"), (true, String::new()));
    let (fine, told) = check("[queue]\nmode = 0600\ngruop = \"x\"\n");
    assert!(!fine && told.contains("k.toml:2: ") && told.contains("k.toml:3: "), "{told}");
    assert!(told.ends_with("kerneld: 2 mistakes in the configuration\n"), "{told}");
}

#[test]
fn a_word_that_means_nothing_is_told_and_ignored() {
    let daemon = Daemon::start(&["dealy=5", "delay=abc", "delay=7"]);
    let log = daemon.log();
    assert!(
        log.contains("\"dealy=5\" means nothing") && log.contains("\"delay=abc\" means nothing"),
        "{log}"
    );
    assert!(!log.contains("\"delay=7\""), "{log}");
    assert!(daemon.kdstat("").contains("delay=7,"));
}
