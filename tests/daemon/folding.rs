//! Equal requests share a helper; unequal ones run side by side, up to kmod's limit.

use crate::support::{Daemon, PATIENCE, wait_for};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;
use std::thread;

#[test]
fn equal_requests_in_flight_share_one_helper_and_its_status() {
    let daemon = Daemon::start(&[]);
    let clients: Vec<_> = Layout::ALL
        .into_iter()
        .map(|layout| {
            let client = daemon.client(layout);
            thread::spawn(move || client.ask(Command::RequestModule, b"wait", Some(PATIENCE)).unwrap().status)
        })
        .collect();
    wait_for("all requests to be read", || daemon.accepted("wait") == Layout::ALL.len());
    // Orders are carried out in turn, so this answer says that all before it were.
    daemon.kdstat("");
    daemon.go();
    assert_eq!(
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>(),
        [0; Layout::ALL.len()]
    );
    assert_eq!(daemon.records().len(), 1);
    daemon.status(Command::RequestModule, "wait");
    assert_eq!(daemon.records().len(), 2, "a request after the end runs anew");
}

#[test]
fn loading_and_unloading_one_name_are_not_equal() {
    let daemon = Daemon::start(&[]);
    let client = daemon.client(Layout::Lp64New);
    client.post(Command::RequestModule, b"wait", None).unwrap();
    client.post(Command::ReleaseModule, b"wait", None).unwrap();
    wait_for("both helpers", || daemon.records().len() == 2);
}

#[test]
fn the_fifty_first_waits_and_gives_up_as_under_kmod() {
    let daemon = Daemon::start(&[]);
    let client = daemon.client(Layout::Lp64New);
    for number in 0..50 {
        client.post(Command::RequestModule, format!("wait-{number}").as_bytes(), None).unwrap();
    }
    wait_for("fifty helpers", || daemon.records().len() == 50);
    assert_eq!(daemon.status(Command::RequestModule, "wait-late"), -libc::ETIME);
    let patient = daemon.client(Layout::Lp64New);
    let patient = thread::spawn(move || patient.ask(Command::RequestModule, b"patient", Some(PATIENCE)));
    wait_for("it to be in the job queue", || {
        daemon.kdstat("").contains("pid 0, type request_module ('patient')")
    });
    daemon.go();
    assert_eq!(patient.join().unwrap().unwrap().status, 0);
    assert_eq!(daemon.records().len(), 51, "the one that gave up was never run");
}
