//! Everything else that kerneld did: delayed releases, routes, the blanker, system commands.

use crate::support::{Daemon, PATIENCE, wait_for};
use kerneld_protocol::client::Answer;
use kerneld_protocol::queue::{Buffer, Select};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tempfile::TempDir;

/// A daemon with a configuration, whose helpers are scripts and the recorder in one folder.
struct Configured {
    daemon: Daemon,
    dir: TempDir,
}

impl Configured {
    fn start(config: impl Fn(&Path) -> String, args: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("kerneld.toml");
        std::fs::write(&file, config(dir.path())).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let args: Vec<&str> = ["--config", &file].into_iter().chain(args.iter().copied()).collect();
        Configured { daemon: Daemon::start(&args), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn script(dir: &Path, name: &str, body: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn ask_aside(daemon: &Daemon, command: Command, text: &str) -> JoinHandle<Answer> {
    let (client, text) = (daemon.client(Layout::Lp64New), text.to_owned());
    thread::spawn(move || client.ask(command, text.as_bytes(), Some(PATIENCE)).unwrap())
}

fn argv(daemon: &Daemon) -> Vec<String> {
    daemon.records().iter().map(|record| record.argv[1..].join(" ")).collect()
}

#[test]
fn a_delayed_release_waits_and_then_is_a_release() {
    let daemon = Daemon::start(&["delay=1"]);
    let waiting = ask_aside(&daemon, Command::DelayedReleaseModule, "exit7");
    wait_for("it to wait", || daemon.kdstat("").contains("pid 0, type delayed_release_module ('exit7')"));
    assert!(daemon.records().is_empty());
    assert_eq!(waiting.join().unwrap().status, 7);
    assert_eq!(argv(&daemon), ["-q -r -- exit7"]);
}

#[test]
fn cancelling_answers_both_and_runs_nothing() {
    let daemon = Daemon::start(&["delay=600"]);
    let waiting = [1, 2].map(|_| ask_aside(&daemon, Command::DelayedReleaseModule, "ppp"));
    let other = ask_aside(&daemon, Command::DelayedReleaseModule, "slip");
    wait_for("them to wait", || daemon.kdstat("").matches("delayed_release_module").count() == 3);
    assert_eq!(daemon.status(Command::CancelReleaseModule, "ppp"), 0);
    for waiting in waiting {
        assert_eq!(waiting.join().unwrap().status, 0);
    }
    assert!(daemon.kdstat("").contains("('slip')"));
    assert_eq!(
        daemon.status(Command::CancelReleaseModule, "ppp"),
        0,
        "it is not an error that nothing waits"
    );
    assert!(daemon.records().is_empty());
    daemon.signal(Signal::SIGTERM);
    assert_eq!(other.join().unwrap().status, -libc::EINTR);
}

#[test]
fn keep_ignores_releases_of_both_kinds_until_it_is_taken_back() {
    let daemon = Daemon::start(&["keep", "delay=1"]);
    assert_eq!(daemon.status(Command::ReleaseModule, "exit7"), 0);
    assert_eq!(daemon.status(Command::DelayedReleaseModule, "exit7"), 0);
    assert!(daemon.records().is_empty());
    daemon.kdstat("nokeep");
    assert_eq!(daemon.status(Command::ReleaseModule, "exit7"), 7);
}

#[test]
fn ten_thousand_delayed_releases_cost_no_process() {
    let daemon = Daemon::start(&["delay=600"]);
    let client = daemon.client(Layout::Lp64Old);
    for number in 0..10_000 {
        client.post(Command::DelayedReleaseModule, format!("m{number}").as_bytes(), Some(PATIENCE)).unwrap();
    }
    assert!(daemon.kdstat("").ends_with("more\n"));
    assert_eq!(crate::support::children(daemon.process.id()).len(), 1, "the intake");
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.process.id())).unwrap().count();
    assert!(threads < 20, "{threads} threads");
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7);
}

#[test]
fn a_route_is_asked_of_the_helper_with_a_checked_address() {
    let setup = Configured::start(
        |dir| {
            let body = format!(
                "echo \"$# $1\" >>{0}/routes; while [ ! -e {0}/go ]; do sleep 0.05; done; exit 4",
                dir.display()
            );
            format!("[route]\nhelper = {:?}\n", script(dir, "request-route", &body))
        },
        &[],
    );
    let daemon = &setup.daemon;
    for text in ["", "10.0.0.1; id", "10.0.0", "host.example", "-n"] {
        assert_eq!(daemon.status(Command::RequestRoute, text), -libc::EINVAL, "{text}");
    }
    let both = [1, 2].map(|_| ask_aside(daemon, Command::RequestRoute, "10.0.0.1"));
    wait_for("both", || daemon.accepted("10.0.0.1") == 2 && setup.lines("routes").len() == 1);
    daemon.kdstat("");
    std::fs::write(setup.path("go"), "").unwrap();
    for asked in both {
        assert_eq!(asked.join().unwrap().status, 4);
    }
    assert_eq!(daemon.status(Command::RequestRoute, "fe80::1"), 4);
    assert_eq!(setup.lines("routes"), ["1 10.0.0.1", "1 fe80::1"]);
}

#[test]
fn without_a_helper_a_route_is_answered_0_until_sighup_finds_one() {
    let setup = Configured::start(|dir| format!("[route]\nhelper = \"{}/later\"\n", dir.display()), &[]);
    assert_eq!(setup.daemon.status(Command::RequestRoute, "10.0.0.1"), 0);
    script(setup.dir.path(), "later", "exit 9");
    assert_eq!(setup.daemon.status(Command::RequestRoute, "10.0.0.1"), 0);
    setup.daemon.signal(Signal::SIGHUP);
    wait_for("the reread", || setup.daemon.log().contains("read again"));
    assert_eq!(setup.daemon.status(Command::RequestRoute, "10.0.0.1"), 9);
}

#[test]
fn a_route_helper_that_hangs_is_ended() {
    let setup = Configured::start(
        |dir| format!("[route]\nhelper = {:?}\ntime-limit = 1\n", script(dir, "hang", "exec sleep 600")),
        &[],
    );
    assert_eq!(setup.daemon.status(Command::RequestRoute, "10.0.0.1"), -libc::ETIME);
}

#[test]
fn the_blankers_exit_answers_off() {
    let setup = Configured::start(
        |dir| {
            let body = format!(
                "trap 'exit 5' QUIT; echo on >>{}/blanked; while :; do sleep 0.05; done",
                dir.display()
            );
            format!("[blanker]\nhelper = {:?}\n", script(dir, "screenblanker", &body))
        },
        &[],
    );
    let daemon = &setup.daemon;
    assert_eq!(daemon.status(Command::ScreenBlanker, "off"), 1, "none is running");
    assert_eq!(daemon.status(Command::ScreenBlanker, "dim"), -libc::EINVAL);
    let on = ask_aside(daemon, Command::ScreenBlanker, "on");
    wait_for("the blanker", || setup.lines("blanked") == ["on"]);
    let again = ask_aside(daemon, Command::ScreenBlanker, "on");
    wait_for("it to be taken in", || daemon.accepted("on") == 2);
    daemon.kdstat("");
    assert_eq!(daemon.status(Command::ScreenBlanker, "off"), 5);
    assert_eq!([on, again].map(|asked| asked.join().unwrap().status), [5, 5]);
    assert_eq!(setup.lines("blanked"), ["on"]);
}

#[test]
fn a_system_command_is_refused_unless_listed() {
    let setup = Configured::start(
        |dir| {
            let hello = script(dir, "hello", "printf 'args: %s\\n' \"$*\"; sleep 0.1; echo done; exit 3");
            let much = script(dir, "much", "while echo 0123456789; do :; done");
            format!(
                "[[system]]\ntext = \"say hello; exit 3\"\nargv = [{hello:?}, \"a b\", \"$HOME\"]\n\
                 [[system]]\ntext = \"much\"\nargv = [{much:?}]\n\
                 [[system]]\ntext = \"hang\"\nargv = [\"/bin/sleep\", \"600\"]\ntime-limit = 1\n"
            )
        },
        &[],
    );
    let daemon = &setup.daemon;
    for _ in 0..3 {
        assert_eq!(daemon.status(Command::System, "echo hello"), -libc::EPERM);
    }
    assert_eq!(daemon.log().matches("system command 'echo hello'").count(), 1, "logged once");
    let answer = daemon.ask(Command::System, "say hello; exit 3").unwrap();
    assert_eq!((answer.status, answer.text.as_slice()), (3, &b"args: a b $HOME\ndone\n"[..]));
    assert_eq!(daemon.ask(Command::System, "much").unwrap().text.len(), 1024);
    assert_eq!(daemon.status(Command::System, "hang"), -libc::ETIME);
}

#[test]
fn modules_can_be_allowed_and_denied_by_name() {
    let setup = Configured::start(
        |_| "[modules]\nallow = [\"usb-*\", \"exit*\"]\ndeny = [\"exit9\"]\n".to_owned(),
        &[],
    );
    let daemon = &setup.daemon;
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7);
    assert_eq!(daemon.status(Command::RequestModule, "usb_storage"), 0);
    assert_eq!(daemon.status(Command::RequestModule, "exit9"), -libc::EPERM);
    assert_eq!(daemon.status(Command::ReleaseModule, "ppp"), -libc::EPERM);
    assert_eq!(daemon.records().len(), 2);
}

#[test]
fn a_broken_configuration_leaves_the_old_one_in_force() {
    let setup = Configured::start(|_| "[modules]\ndeny = [\"exit9\"]\n".to_owned(), &[]);
    std::fs::write(setup.path("kerneld.toml"), "[modules]\ndenny = []\n").unwrap();
    setup.daemon.signal(Signal::SIGHUP);
    wait_for("the complaint", || setup.daemon.log().contains("kerneld.toml:2: "));
    assert!(setup.daemon.log().contains("deny"));
    assert_eq!(setup.daemon.status(Command::RequestModule, "exit9"), -libc::EPERM);
    std::fs::write(setup.path("kerneld.toml"), "").unwrap();
    setup.daemon.signal(Signal::SIGHUP);
    wait_for("the reread", || setup.daemon.log().contains("read again"));
    assert_eq!(setup.daemon.status(Command::RequestModule, "exit9"), 9);
}

#[test]
fn answers_that_nobody_fetches_are_taken_back() {
    let daemon = Daemon::start(&[]);
    let queue = daemon.queue();
    for id in 5000..5010 {
        let reply = kerneld_protocol::request::ReplyTo { id, layout: Layout::Lp64Old, pid: 0 };
        queue.send(2, &reply.answer(id, format!("exit{}", id - 5000).as_bytes())).unwrap();
    }
    wait_for("the helpers", || daemon.records().len() == 10);
    wait_for("the answers", || queue.stat().unwrap().messages == 10);
    wait_for("them to go", || daemon.log().matches("nobody fetched").count() == 10);
    assert_eq!(queue.stat().unwrap().messages, 0);
}

#[test]
fn a_channel_filled_by_strangers_is_cleared() {
    let daemon = Daemon::start(&[]);
    let queue = daemon.queue();
    while queue.send(300, &[0; 900]).is_ok() {}
    while queue.send(301, b"").is_ok() {}
    assert_eq!(daemon.status(Command::RequestModule, "exit7"), 7, "as soon as there is room");
    wait_for("the log", || daemon.log().contains("the queue was full"));
    assert!(!queue.try_receive(Select::Exactly(300), &mut Buffer::default()).unwrap());
}

#[test]
fn after_a_crash_every_waiting_client_is_answered() {
    let mut first = Daemon::start(&["delay=600"]);
    let load = ask_aside(&first, Command::RequestModule, "wait");
    let later = ask_aside(&first, Command::DelayedReleaseModule, "exit6");
    let unload = ask_aside(&first, Command::ReleaseModule, "wait-unload");
    wait_for("the helpers", || first.records().len() == 2);
    wait_for("the delayed one", || first.kdstat("").contains("delayed_release_module"));
    let intake = first.intake();
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    wait_for("the intake to end", || crate::support::comm(intake).is_empty());
    first.go();
    first.restart(&["delay=1"]);
    assert_eq!(load.join().unwrap().status, 0);
    assert_eq!(unload.join().unwrap().status, 0);
    assert_eq!(later.join().unwrap().status, 6);
    let ran = argv(&first);
    assert_eq!(ran.iter().filter(|argv| *argv == "-q -- wait").count(), 2, "run again: {ran:?}");
    let null = |record: &kerneld_recorder::Record| {
        record.fds.values().all(|target| target == Path::new("/dev/null"))
    };
    assert!(first.records().iter().all(null), "helpers of the very beginning too");
}

#[test]
fn debug_logs_each_step_until_nodebug() {
    let daemon = Daemon::start(&[]);
    for (words, name, steps) in [("debug", "exit1", 1), ("nodebug", "exit2", 0)] {
        daemon.kdstat(words);
        daemon.status(Command::RequestModule, name);
        let step = format!("request_module '{name}': running");
        assert_eq!(daemon.log().matches(&step).count(), steps, "{words}");
    }
}
