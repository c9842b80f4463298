//! What the daemon asks of the kernel while it serves, seen by strace. A socket may need the very
//! module that is being asked for, so no request may lead to one; and no helper is run by a shell.

use crate::support::{Daemon, children, fresh_key, wait_for, wait_until_ready};
use kerneld::inside::{ALLOWED, CHECKED};
use kerneld_protocol::request::Command as Request;
use kerneld_protocol::wire::Layout;
use kerneld_recorder as recorder;
use kerneld_test_support::{have, have_program};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Every kind of request: what is sent, and the arguments of the helper that it runs, if it runs one.
const KINDS: &[(Request, &str, Option<&[&str]>)] = &[
    (Request::Debug, "debug", None),
    (Request::RequestModule, "ppp", Some(&["-q", "--", "ppp"])),
    (Request::RequestModule, "exit3", Some(&["-q", "--", "exit3"])),
    (Request::RequestModule, "signal9", Some(&["-q", "--", "signal9"])),
    (Request::RequestModule, "-C/tmp/x", None),
    (Request::RequestModule, "$(id)", None),
    (Request::ReleaseModule, "ppp", Some(&["-q", "-r", "--", "ppp"])),
    (Request::ReleaseModule, "", None),
    (Request::RequestModule, "denied-1", None),
    (Request::DelayedReleaseModule, "slip", Some(&["-q", "-r", "--", "slip"])),
    (Request::CancelReleaseModule, "slip", None),
    (Request::RequestRoute, "192.0.2.1", Some(&["192.0.2.1"])),
    (Request::RequestRoute, "2001:db8::1", Some(&["2001:db8::1"])),
    (Request::RequestRoute, "192.0.2.1;id", None),
    (Request::ScreenBlanker, "on", Some(&[])),
    (Request::ScreenBlanker, "off", None),
    (Request::System, "ifup eth0; true", Some(&["eth0"])),
    (Request::System, "id", None),
    (Request::Other(9), "key", None),
    (Request::Other(10), "\x04\0\0\0\x01\0\0\0key\0v", None),
    (Request::Pnp, "x", None),
    (Request::Other(100), "x", None),
    (Request::Debug, "keep", None),
    (Request::ReleaseModule, "kept", None),
    (Request::Debug, "flush", None),
];

/// Messages of types that are served, but not requests: nothing may come of them.
const GARBAGE: &[(i64, &[u8])] = &[(2, b""), (2, b"abc"), (1, b"\xff\xff\xff\xffppp"), (255, b"\x02\0\0\0")];

/// The calls that open a socket. What sends on one that is open may name no other end than its own.
const SOCKETS: &[&str] =
    &["socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendmmsg"];

/// A daemon that strace watches, with the recorder as its every helper. The tracer is not an ancestor of
/// the daemon (`-D`), so it can be handled like any other.
fn traced() -> Daemon {
    let dir = TempDir::new().unwrap();
    let recorder = recorder::install(dir.path(), env!("CARGO_BIN_EXE_kerneld").as_ref()).unwrap();
    let config = dir.path().join("kerneld.toml");
    fs::write(&config, configuration(&recorder)).unwrap();
    let key = fresh_key();
    let log = dir.path().join("log");
    let mut process = Command::new("strace")
        .args(["-D", "-f", "-n", "-s", "4096", "-o"])
        .arg(dir.path().join("trace"))
        .args([
            env!("CARGO_BIN_EXE_kerneld"),
            "--foreground",
            "--ready-fd=1",
            "delay=1",
            "--key",
            &key.to_string(),
            "--config",
        ])
        .arg(config)
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    assert!(wait_until_ready(&mut process), "{}", fs::read_to_string(&log).unwrap());
    Daemon { key, dir, process }
}

fn configuration(recorder: &Path) -> String {
    let persist = recorder.with_file_name("persist.gdbm");
    format!(
        "modprobe = {recorder:?}\n\
         [modules]\ndeny = [\"denied*\"]\n\
         [route]\nhelper = {recorder:?}\n\
         [persist]\nfile = {persist:?}\n\
         [blanker]\nhelper = {recorder:?}\n\
         [[system]]\ntext = \"ifup eth0; true\"\nargv = [{recorder:?}, \"eth0\"]\n"
    )
}

fn cannot_trace() -> bool {
    if !have_program("strace") {
        return true;
    }
    let tried = Command::new("strace").args(["-D", "-f", "-n", "-o", "/dev/null", "true"]).output().unwrap();
    !have("strace", tried.status.success(), "strace may not trace here")
}

/// A system call as it begins: who, its number and name, its arguments as far as they are known then.
struct Call {
    tid: i32,
    number: i64,
    name: String,
    args: String,
}

impl Call {
    /// `TID [NUMBER] NAME(ARGS…`; other lines tell how a call ended, or a signal or an exit.
    fn parse(line: &str) -> Option<Self> {
        let (tid, rest) = line.split_once(' ')?;
        let (number, call) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
        let (name, args) = call.trim_start().split_once('(')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        Some(Call {
            tid: tid.parse().ok()?,
            number: number.trim().parse().ok()?,
            name: name.to_owned(),
            args: args.to_owned(),
        })
    }

    /// The arguments of an execve, without argv[0].
    fn argv(&self) -> Vec<&str> {
        let (_, argv) = self.args.split_once(", [").unwrap();
        let (argv, _) = argv.split_once("], ").unwrap();
        argv.split(", ").skip(1).map(|word| word.trim_matches('"')).collect()
    }
}

/// The calls from the start of service to the end, without what helpers do once they run.
fn calls_in_service(trace: &str) -> Vec<Call> {
    let (_, service) = trace.split_once("\"ready\\n\"").unwrap();
    let mut helpers = Vec::new();
    let mut calls = Vec::new();
    for call in service.lines().filter_map(Call::parse) {
        if helpers.contains(&call.tid) {
            continue;
        }
        if call.name == "execve" {
            helpers.push(call.tid);
        }
        calls.push(call);
    }
    calls
}

fn send_everything(daemon: &Daemon) {
    for layout in [Layout::Ilp32Old, Layout::Lp64New] {
        for (command, text, _) in KINDS {
            daemon.client(layout).ask(*command, text.as_bytes(), None).unwrap();
        }
        daemon.client(layout).ask(Request::Debug, b"nokeep", None).unwrap();
    }
    for (mtype, mtext) in GARBAGE {
        daemon.queue().send(*mtype, mtext).unwrap();
    }
    daemon.kdstat("");
}

fn threads(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn no_request_leads_to_a_socket_or_a_shell_and_the_intake_keeps_to_its_list() {
    if cannot_trace() {
        return;
    }
    let mut daemon = traced();
    let intake = threads(daemon.intake());
    send_everything(&daemon);
    let pid = daemon.process.id();
    assert_eq!(children(pid).len(), 1, "only the intake is left");
    assert!(daemon.end().success());
    let file = daemon.dir.path().join("trace");
    let last = |line: &str| line.starts_with(&format!("{pid} ")) && line.ends_with("+++ exited with 0 +++");
    wait_for("strace's last line", || fs::read_to_string(&file).unwrap().lines().any(last));
    let calls = calls_in_service(&fs::read_to_string(&file).unwrap());
    let (intakes, executors): (Vec<_>, Vec<_>) = calls.iter().partition(|call| intake.contains(&call.tid));
    no_sockets(&calls);
    on_the_list(&intakes);
    run_directly(&executors, &daemon.dir.path().join(recorder::NAME));
}

fn no_sockets(calls: &[Call]) {
    for Call { name, args, .. } in calls {
        assert!(!SOCKETS.contains(&name.as_str()), "{name}({args}");
        // An ordinary user's strace cannot look into the intake, and shows a number for the message.
        assert!(!name.starts_with("send") || !args.contains("sa_family="), "{name}({args}");
    }
}

fn on_the_list(intakes: &[&Call]) {
    assert!(intakes.iter().any(|call| call.name == "msgrcv"), "nothing was seen of the intake");
    for Call { name, number, args, .. } in intakes {
        let listed = ALLOWED.contains(number) || CHECKED.contains(number);
        assert!(listed && !args.contains("PROT_EXEC"), "{name}({args}");
    }
}

fn run_directly(executors: &[&Call], helper: &Path) {
    let run: Vec<&&Call> = executors.iter().filter(|call| call.name == "execve").collect();
    for call in &run {
        assert!(call.args.starts_with(&format!("{helper:?}, ")), "{}", call.args);
    }
    let argvs: Vec<Vec<&str>> = run.iter().map(|call| call.argv()).collect();
    let wanted: Vec<&[&str]> = KINDS.iter().filter_map(|(_, _, argv)| *argv).collect();
    assert_eq!(argvs, [wanted.clone(), wanted].concat(), "each once in each layout, in order");
}
