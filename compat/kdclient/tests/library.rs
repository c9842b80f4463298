//! `libkdclient`, shared and static, from C, against a real kerneld.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerneld_protocol::client::Client;
use kerneld_protocol::request::Command as Request;
use kerneld_protocol::wire::Layout;
use kerneld_test_support::as_root;
use kerneld_test_support::compiler as c;
use kerneld_test_support::daemon::{Daemon, Place, text};

/// Where cargo put libkdclient: beside this test.
fn libraries() -> PathBuf {
    // So that the crate is linked, and thereby built.
    assert_eq!(kdclient::KERNELD_NOWAIT, 0);
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// What the static library needs, as the pkg-config file says too.
const PRIVATE: [&str; 6] = ["-lgcc_eh", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The C program, linked both ways.
fn programs(place: &Place) -> Vec<PathBuf> {
    if !c::CC.works() {
        return Vec::new();
    }
    let folder = libraries();
    let archive = folder.join("libkdclient.a");
    let shared = [format!("-L{}", folder.display()), "-lkdclient".into()];
    let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
    let static_: Vec<&str> = [archive.to_str().unwrap()].into_iter().chain(PRIVATE).collect();
    let at = |name: &str| {
        let path = place.path(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    vec![
        c::CC.compile("library.c", &shared, &at("shared")),
        c::CC.compile("library.c", &static_, &at("static")),
    ]
}

/// Runs the program; what it prints.
fn call(place: &Place, program: &Path, words: &[&str]) -> String {
    text(&command(place, program, words).output().unwrap().stdout)
}

fn command(place: &Place, program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    // The shared library has the name that programs look for only where it is installed.
    let folder = place.path("lib");
    let _ = std::fs::create_dir(&folder);
    let _ = std::os::unix::fs::symlink(libraries().join("libkdclient.so"), folder.join("libkdclient.so.0"));
    command.args(words).env("KERNELD_KEY", place.key()).env("LD_LIBRARY_PATH", folder);
    command
}

#[test]
fn functions_that_wait_return_the_status_and_the_others_0() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for program in programs(&place) {
        for (words, result) in [
            (&["request", "exit0"][..], "0"),
            (&["request", "exit7"], "7"),
            (&["release", "exit9", "1"], "9"),
            (&["release", "exit9", "0"], "0"),
            (&["delayed", "exit9"], "0"),
            (&["cancel", "exit9"], "0"),
            (&["system", "exit 9", "0"], "0"),
            (&["blanker", "1"], "0"),
        ] {
            assert_eq!(call(&place, &program, words), result, "{} {words:?}", program.display());
        }
    }
}

/// Whatever the daemon's configuration makes of these, it is what comes back.
#[test]
fn the_other_functions_return_what_the_daemon_answers() {
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    let client = Client::on(daemon.queue, Layout::Lp64Old);
    for program in programs(&place) {
        for (words, request, argument) in [
            (&["system", "exit 9", "1"][..], Request::System, "exit 9"),
            (&["route", "192.0.2.1"], Request::RequestRoute, "192.0.2.1"),
            (&["blanker", "0"], Request::ScreenBlanker, "off"),
            (&["request", "-C/x"], Request::RequestModule, "-C/x"),
        ] {
            let answer = client.ask(request, argument.as_bytes(), None).unwrap();
            let said = call(&place, &program, words);
            assert_eq!(said, answer.status.to_string(), "{} {words:?}", program.display());
        }
    }
}

#[test]
fn an_answers_text_is_copied_as_far_as_there_is_room() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for program in programs(&place) {
        assert_eq!(call(&place, &program, &["send", "255", "0", ""]), "|#|0");
        assert_eq!(call(&place, &program, &["send", "255", "7", ""]), "Version|#|0");
        let all = call(&place, &program, &["send", "255", "1000", ""]);
        assert!(all.starts_with("Version") && all.ends_with("#|#|0"), "{all}");
    }
}

#[test]
fn what_stands_in_the_way_is_a_negative_errno() {
    let place = Place::new();
    for program in programs(&place) {
        let request = ["request", "exit0"];
        assert_eq!(call(&place, &program, &request), (-libc::ENODEV).to_string());
        let no_key = command(&place, &program, &request).env("KERNELD_KEY", "kern").output().unwrap();
        assert_eq!(text(&no_key.stdout), (-libc::EINVAL).to_string());
        let long = "x".repeat(9_000);
        assert_eq!(call(&place, &program, &["request", &long]), (-libc::EINVAL).to_string());
    }
}

#[test]
fn a_user_to_whom_the_queue_is_closed_is_told_so() {
    if !as_root() {
        return;
    }
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    // The static one: not every folder on the way to the shared library may be open to all.
    for program in programs(&place).into_iter().skip(1) {
        let mut command = command(&place, &program, &["request", "exit0"]);
        let output = command.uid(65534).gid(65534).output().unwrap();
        assert_eq!(text(&output.stdout), (-libc::EACCES).to_string());
    }
}

#[test]
fn the_pkg_config_file_tells_what_this_is_and_needs() {
    let file = include_str!("../kdclient.pc");
    let value = |name: &str| file.lines().find_map(|line| line.strip_prefix(name));
    assert_eq!(value("Version: "), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(value("Libs.private: "), Some(&PRIVATE.join(" ")[..]));
}
