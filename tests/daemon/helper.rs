//! How the helper is run: arguments, environment, descriptors, and what its end means.

use crate::support::Daemon;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use kerneld_recorder::Record;
use std::os::unix::fs::PermissionsExt;

fn only_record(daemon: &Daemon) -> Record {
    let records = daemon.records();
    assert_eq!(records.len(), 1);
    records.into_iter().next().unwrap()
}

#[test]
fn it_is_run_as_the_kernel_would_run_it() {
    let daemon = Daemon::start(&[]);
    assert_eq!(daemon.client(Layout::Lp64Old).ask(Command::RequestModule, b"ppp", None).unwrap().status, 0);
    let record = only_record(&daemon);
    assert_eq!(record.argv[1..], ["-q", "--", "ppp"]);
    assert!(record.argv[0].ends_with("/kerneld-recorder"));
    let env: Vec<_> = record.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["HOME=/", "PATH=/sbin:/usr/sbin:/bin:/usr/bin", "TERM=linux"]);
    assert_eq!(record.cwd.to_str(), Some("/"));
    let fds: Vec<_> = record.fds.iter().map(|(fd, target)| format!("{fd} {}", target.display())).collect();
    assert_eq!(fds, ["0 /dev/null", "1 /dev/null", "2 /dev/null"]);
    assert!(record.signals[0].ends_with("0000000000000000"), "blocked: {:?}", record.signals);
}

#[test]
fn release_adds_r_and_the_new_protocol_tells_who_asked() {
    let daemon = Daemon::start(&[]);
    daemon.client(Layout::Ilp32New).ask(Command::ReleaseModule, b"ppp", None).unwrap();
    let record = only_record(&daemon);
    assert_eq!(record.argv[1..], ["-q", "-r", "--", "ppp"]);
    let pid = (std::process::id() as i16).to_string();
    assert_eq!(record.env.get("KERNELD_TRIGGER"), Some(&pid));
    assert_eq!(record.env.len(), 4);
}

#[test]
fn descriptors_inherited_by_the_daemon_end_there() {
    use std::os::unix::process::CommandExt;
    let dir = tempfile::TempDir::new().unwrap();
    let recorder = kerneld_recorder::install(dir.path(), env!("CARGO_BIN_EXE_kerneld").as_ref()).unwrap();
    let key = crate::support::fresh_key();
    let script = format!(
        "exec 7</dev/zero 9</dev/zero; trap '' HUP USR1; exec {} --foreground --ready-fd 1 --key {key} --state-dir {} --modprobe {} 2>{}",
        env!("CARGO_BIN_EXE_kerneld"),
        dir.path().join("state").display(),
        recorder.display(),
        dir.path().join("log").display(),
    );
    let mut process = std::process::Command::new("/bin/sh")
        .arg0("sh")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(crate::support::wait_until_ready(&mut process));
    let daemon = Daemon { key, dir, process };
    daemon.status(Command::RequestModule, "ppp");
    let record = only_record(&daemon);
    assert_eq!(record.fds.len(), 3, "{:?}", record.fds);
    let ignored = u64::from_str_radix(record.signals[1].rsplit('\t').next().unwrap(), 16).unwrap();
    // Rust's own start-up ignores SIGPIPE (13) in the recorder.
    assert_eq!(ignored & 0x7fff_ffff & !(1 << 12), 0, "{:?}", record.signals);
}

#[test]
fn its_end_is_the_status() {
    let daemon = Daemon::start(&[]);
    for (name, status) in [("ppp", 0), ("exit7", 7), ("exit200", 200), ("signal9", 137), ("signal15", 143)] {
        assert_eq!(daemon.status(Command::RequestModule, name), status, "{name}");
    }
}

#[test]
fn one_that_cannot_be_run_answers_the_errno() {
    let dir = tempfile::TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    let start = |path: &std::path::Path| {
        let arg = format!("--modprobe={}", path.display());
        Daemon::start_in(tempfile::TempDir::new().unwrap(), crate::support::fresh_key(), &[&arg])
    };
    assert_eq!(start(&missing).status(Command::RequestModule, "ppp"), -libc::ENOENT);
    let text = dir.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    std::fs::set_permissions(&text, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(start(&text).status(Command::RequestModule, "ppp"), -libc::EACCES);
}

#[test]
fn dry_run_runs_nothing_and_answers_0() {
    let daemon = Daemon::start(&["--dry-run"]);
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 0);
    assert!(daemon.records().is_empty());
    assert!(daemon.log().contains("would run"));
}

#[test]
fn refused_names_run_nothing() {
    let daemon = Daemon::start(&[]);
    for name in ["", "-C/tmp/x", ".x", "a b", "a/b", "a;b", "$(x)"] {
        assert_eq!(daemon.status(Command::RequestModule, name), -libc::EINVAL, "{name:?}");
        assert_eq!(daemon.status(Command::ReleaseModule, name), -libc::EINVAL, "{name:?}");
    }
    assert_eq!(daemon.status(Command::RequestModule, &"x".repeat(56)), -libc::ENAMETOOLONG);
    assert!(daemon.records().is_empty());
    assert_eq!(daemon.status(Command::RequestModule, &"x".repeat(55)), 0);
}
