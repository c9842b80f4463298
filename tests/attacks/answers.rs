//! Exactly one answer: old clients ask again and again under one id, and cannot ask twice for one answer.
//! Meanwhile everything is killed and stopped at random.

use crate::kills::{next, start_again_with, start_with, times};
use crate::support::{Daemon, children, comm, wait_for};
use kerneld_protocol::queue::{Buffer, Queue, Select};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::{Layout, Message};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const CLIENTS: i32 = 8;

/// Requests of each client in the short form.
const REQUESTS: u64 = 120;

/// How long all of it may take for each request of a client.
const EACH: Duration = Duration::from_secs(1);

/// The status of a helper that was killed.
const KILLED: i64 = 128 + 9;

/// Says that it runs and that nobody runs the same at the same time, and ends with the status that its name asks for.
const HELPER: &str = r#"#!/bin/sh
exec 9>>"${0%/*}/lock.$3"
flock -n 9 || echo "$3" >>"${0%/*}/overlaps"
echo "$3" >>"${0%/*}/ran"
sleep 0.01 9>&-
exit "${3##*e}"
"#;

fn name(id: i32, request: u64) -> String {
    format!("c{id}r{request}e{}", 1 + (u64::from(id.unsigned_abs()) * 7 + request * 13) % 100)
}

fn status(id: i32, request: u64) -> i64 {
    name(id, request).rsplit('e').next().unwrap().parse().unwrap()
}

/// A client that asks under one id, one request after another. It is this program, started once more.
#[test]
#[ignore = "the other test here starts it"]
fn client() {
    let Ok(given) = std::env::var("KERNELD_ATTACKS_CLIENT") else { return };
    let mut given = given.split(' ');
    let mut number = || given.next().unwrap().parse::<i64>().unwrap();
    let (queue, id) = (Queue::from_id(number() as i32), number() as i32);
    let (first, last) = (number() as u64, number() as u64);
    let mut log = fs::File::options().append(true).create(true).open(given.next().unwrap()).unwrap();
    for request in first..last {
        let answer = ask(queue, id, request);
        writeln!(log, "{request} {answer}").unwrap();
    }
}

/// What is wrong with the answers to one request; `ok` if nothing, `killed` if that is what became of its
/// helper.
fn ask(queue: Queue, id: i32, request: u64) -> String {
    let layout = Layout::ALL[id as usize % 4];
    let reply = ReplyTo { id, layout, pid: std::process::id() as i16 };
    let mtext = reply.answer(id, name(id, request).as_bytes());
    while queue.send(2, &mtext) == Err(Errno::EAGAIN) {
        sleep(Duration::from_millis(1));
    }
    let mut buffer = Buffer::default();
    while let Err(errno) = queue.receive(Select::Exactly(id.into()), &mut buffer) {
        assert_eq!(errno, Errno::EINTR);
    }
    let answered = Message::decode_as(layout, buffer.mtext()).unwrap().id;
    if queue.try_receive(Select::Exactly(id.into()), &mut buffer).unwrap() {
        return format!("a second answer: {:?}", Message::decode_as(layout, buffer.mtext()));
    }
    match (answered, status(id, request)) {
        (KILLED, _) => "killed".to_owned(),
        (answered, right) if answered == right => "ok".to_owned(),
        (answered, right) => format!("{answered}, not {right}"),
    }
}

/// A running client, and what it is to ask.
struct Client {
    process: Child,
    id: i32,
    last: u64,
}

impl Client {
    fn start(queue: Queue, id: i32, last: u64, dir: &Path) -> Self {
        let log = dir.join(format!("client{id}"));
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "answers::client"])
            .env("KERNELD_ATTACKS_CLIENT", format!("{} {id} 0 {last} {}", queue.id(), log.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Client { process, id, last }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32)
    }

    fn done(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

/// Kills, or stops for a while, something at random. Says whether the daemon has to be started again.
struct Chaos {
    seed: u64,
    kills: u32,
}

/// It may be gone already.
fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

impl Chaos {
    fn strike(&mut self, daemon: &mut Daemon, clients: &mut [Client]) -> bool {
        let victim = next(&mut self.seed) % 12;
        let executor = Pid::from_raw(daemon.process.id() as i32);
        let intake = daemon.find_intake().map(Pid::from_raw);
        self.kills += 1;
        match victim {
            0..3 => intake.into_iter().for_each(|intake| send(intake, Signal::SIGKILL)),
            3..6 => {
                send(executor, Signal::SIGKILL);
                if victim == 5 {
                    intake.into_iter().for_each(|intake| send(intake, Signal::SIGKILL));
                }
                daemon.process.wait().unwrap();
                return true;
            }
            6 => {
                let helpers = children(daemon.process.id()).into_iter().filter(|pid| comm(*pid) == "helper");
                helpers.for_each(|helper| send(Pid::from_raw(helper), Signal::SIGKILL));
            }
            7 => intake.into_iter().for_each(|intake| self.stop(intake)),
            8 => self.stop(executor),
            _ => {
                let running =
                    (0..clients.len()).filter(|client| !clients[*client].done()).collect::<Vec<_>>();
                if !running.is_empty() {
                    let at = next(&mut self.seed) as usize % running.len();
                    self.stop(clients[running[at]].pid());
                }
            }
        }
        false
    }

    fn stop(&mut self, pid: Pid) {
        send(pid, Signal::SIGSTOP);
        sleep(Duration::from_millis(next(&mut self.seed) % 60));
        send(pid, Signal::SIGCONT);
    }
}

#[test]
fn every_living_client_gets_exactly_one_answer_its_own() {
    let prepare = |dir: &Path| {
        let helper = dir.join("helper");
        fs::write(&helper, HELPER).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        helper
    };
    let mut daemon = start_with(prepare);
    let (queue, dir) = (daemon.queue(), daemon.dir.path().to_owned());
    let requests = REQUESTS * times();
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|client| Client::start(queue, 5000 + client, requests, &dir)).collect();
    let mut chaos = Chaos { seed: 0x2545_f491_4f6c_dd1d, kills: 0 };
    let start = Instant::now();
    while clients.iter_mut().any(|client| !client.done()) {
        assert!(start.elapsed() < EACH * requests as u32, "{}", progress(&dir, &clients, &daemon));
        sleep(Duration::from_millis(next(&mut chaos.seed) % 100));
        if chaos.strike(&mut daemon, &mut clients) {
            start_again_with(&mut daemon, |dir| dir.join("helper"));
        }
        // One that is killed leaves its answer behind, so that its id is never used again.
        if chaos.kills.is_multiple_of(97) {
            let id = 5000 + CLIENTS + chaos.kills as i32;
            let victim = chaos.kills as usize % clients.len();
            let _ = clients[victim].process.kill();
            clients[victim].process.wait().unwrap();
            clients[victim] = Client::start(queue, id, requests, &dir);
        }
    }
    eprintln!("{} requests of each client, {} times something was killed or stopped", requests, chaos.kills);
    for client in &clients {
        let answers = fs::read_to_string(dir.join(format!("client{}", client.id))).unwrap();
        let wrong = answers.lines().filter(|line| !line.ends_with(" ok") && !line.ends_with(" killed"));
        assert_eq!(wrong.collect::<Vec<_>>(), [""; 0], "client {}", client.id);
        assert_eq!(answers.lines().count() as u64, client.last, "client {}", client.id);
    }
    let ids = (5000..).take(CLIENTS as usize + chaos.kills as usize + 1);
    let killed = ids.flat_map(|id| killed_helpers(&dir, id)).collect();
    everything_ran_and_nothing_is_left(&mut daemon, &killed);
}

/// The names with which a client, which may have been killed itself, saw its helper killed.
fn killed_helpers(dir: &Path, id: i32) -> Vec<String> {
    let answers = fs::read_to_string(dir.join(format!("client{id}"))).unwrap_or_default();
    let killed = answers.lines().filter_map(|line| line.strip_suffix(" killed")?.parse().ok());
    killed.map(|request| name(id, request)).collect()
}

fn progress(dir: &Path, clients: &[Client], daemon: &Daemon) -> String {
    let lines = clients.iter().map(|client| {
        let answers = fs::read_to_string(dir.join(format!("client{}", client.id))).unwrap_or_default();
        format!("client {}: {:?}", client.id, answers.lines().last())
    });
    let lines: Vec<_> = lines.collect();
    format!("{}\n{}", lines.join("\n"), daemon.log())
}

/// Helpers that were killed may not have come to tell that they ran.
fn everything_ran_and_nothing_is_left(daemon: &mut Daemon, killed: &HashSet<String>) {
    let dir = daemon.dir.path().to_owned();
    let ran: HashSet<String> =
        fs::read_to_string(dir.join("ran")).unwrap().lines().map(str::to_owned).collect();
    let journal = fs::read_to_string(dir.join("state/journal")).unwrap();
    let accepted = journal.lines().filter(|line| line.contains("\"accepted\""));
    let names = accepted.filter_map(|line| line.split("\"text\":\"").nth(1)?.split('"').next());
    let lost: Vec<&str> = names.filter(|name| !ran.contains(*name) && !killed.contains(*name)).collect();
    assert!(lost.is_empty(), "accepted and never run: {lost:?}");
    let overlaps = fs::read_to_string(dir.join("overlaps")).unwrap_or_default();
    assert_eq!(overlaps, "", "run twice at the same time");
    wait_for("helpers to end", || children(daemon.process.id()).len() <= 1);
    assert!(daemon.end().success(), "{}", daemon.log());
    assert!(Queue::open(daemon.key).is_err());
    // SAFETY: plain integers.
    assert_eq!(unsafe { libc::shmget(daemon.key, 0, 0) }, -1, "the shared memory is left");
    assert!(!dir.join("state/intake").exists());
}

#[test]
fn a_helper_that_survives_its_daemon_is_not_run_beside_itself() {
    let mut daemon = crate::kills::start();
    let client = daemon.client(Layout::Ilp32Old);
    let waiting = std::thread::spawn(move || {
        client.ask(kerneld_protocol::request::Command::RequestModule, b"wait", None).unwrap()
    });
    wait_for("the helper", || daemon.records().len() == 1);
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    crate::kills::start_again(&mut daemon);
    assert!(daemon.log().contains("is a helper of an earlier daemon: it is waited for"), "{}", daemon.log());
    assert_eq!(daemon.status(kerneld_protocol::request::Command::RequestModule, "exit7"), 7);
    let names = || daemon.records().iter().filter(|record| record.argv[3] == "wait").count();
    assert_eq!(names(), 1, "one runs already");
    daemon.go();
    assert_eq!(waiting.join().unwrap().status, 0);
}
