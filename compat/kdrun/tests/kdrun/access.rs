//! Who is let in: root, and those to whom the queue is open.

use std::os::unix::process::CommandExt;

use crate::support::{NOBODY, Place};
use kerneld_test_support::as_root;
use kerneld_test_support::daemon::{Daemon, text};

/// `open` by an ordinary user who runs kdrun, on a queue of this mode.
fn opened_by_nobody(mode: u16) -> Vec<(Option<i32>, String, String)> {
    let place = Place::new();
    let daemon = Daemon::start(&place, mode);
    let run = |client| {
        let mut kdrun = place.kdrun();
        let output = kdrun.arg(client).args(["open", "libc"]).uid(NOBODY).gid(NOBODY).output().unwrap();
        (output.status.code(), text(&output.stdout), daemon.id())
    };
    place.every_client().into_iter().map(run).collect()
}

#[test]
fn an_ordinary_user_is_refused() {
    if as_root() {
        for (code, said, _) in opened_by_nobody(0o600) {
            assert_eq!((code, &said[..]), (Some(1), "Operation not permitted"));
        }
    }
}

#[test]
fn reading_without_writing_is_not_enough() {
    if as_root() {
        for (code, said, _) in opened_by_nobody(0o644) {
            assert_eq!((code, &said[..]), (Some(1), "Operation not permitted"));
        }
    }
}

#[test]
fn an_ordinary_user_is_let_in_by_an_open_queue() {
    if as_root() {
        for (code, said, id) in opened_by_nobody(0o666) {
            assert_eq!((code, said), (Some(0), id));
        }
    }
}

#[test]
fn an_ordinary_user_asks_and_gets_answers_on_an_open_queue() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o666);
    for client in place.every_client() {
        let mut kdrun = place.kdrun();
        if as_root() {
            kdrun.uid(NOBODY).gid(NOBODY);
        }
        let output = kdrun.arg(client).args(["ask", "2", "exit9"]).output().unwrap();
        assert_eq!((output.status.code(), &text(&output.stderr)[..]), (Some(9), ""));
    }
}

/// A daemon that root starts under kdrun, and that gives up its rights later.
#[test]
fn who_the_caller_is_now_counts_and_not_who_started_it() {
    if !as_root() {
        return;
    }
    let (closed, open) = (Place::new(), Place::new());
    let (_closed, daemon) = (Daemon::start(&closed, 0o600), Daemon::start(&open, 0o666));
    let Some(client) = closed.plain_client() else { return };
    let words = ["as", &NOBODY.to_string(), "libc"];
    assert_eq!(text(&closed.run(&client, &words).stdout), "Operation not permitted");
    assert_eq!(text(&open.run(&client, &words).stdout), daemon.id());
}

/// Not so with no_new_privs, which only an ordinary user needs for the filter.
#[test]
fn root_keeps_set_user_id_programs_working() {
    let place = Place::new();
    let output = place.run("/bin/cat".as_ref(), &["/proc/self/status"]);
    let status = text(&output.stdout);
    let set = status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t"));
    assert_eq!(set, Some(if nix::unistd::geteuid().is_root() { "0" } else { "1" }));
}
