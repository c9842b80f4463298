//! What the documents show: the example helper, what it refuses and that a real `ip` takes what it
//! says; and that the manual page knows every option.

use crate::support::kerneld;
use kerneld_test_support::{have, have_program};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const TABLE: &str =
    "# a comment\n\n10.1. ftp x\n10.2. dev\n10.3. dev lo lo\n127. dev lo\n2001:db8: dev lo\n10.4. dev nosuch";

fn request_route() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples/request-route")
}

/// The exit status for each address; `wrapper` runs it.
fn statuses(wrapper: &[&str], addresses: &[&str]) -> Vec<Option<i32>> {
    let dir = TempDir::new().unwrap();
    let table = dir.path().join("table");
    fs::write(&table, TABLE).unwrap();
    let status = |address: &&str| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(request_route()).arg(address).env("REQUEST_ROUTE_TABLE", &table);
        command.output().unwrap().status.code()
    };
    addresses.iter().map(status).collect()
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !have_program("shellcheck") {
        return;
    }
    let checked = Command::new("shellcheck").arg(request_route()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn what_is_no_address_or_has_no_line_runs_nothing() {
    let no_address =
        ["", "x", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4;id", "$(id)", "a b", "-h", ":::1", "*"];
    assert_eq!(statuses(&["sh"], &no_address), [Some(2); 11]);
    assert_eq!(statuses(&["sh"], &["192.0.2.1", "::1"]), [Some(1); 2]);
    assert_eq!(statuses(&["sh"], &["10.1.0.1", "10.2.0.1", "10.3.0.1"]), [Some(3); 3]);
}

#[test]
fn ip_takes_what_it_says() {
    if !have_program("ip") {
        return;
    }
    // A network of its own, whose loopback interface is brought up first.
    let wrapper = ["unshare", "-rn", "sh", "-c", "ip link set lo up && exec sh \"$@\"", "sh"];
    let usable = Command::new("unshare").args(["-rn", "true"]).output().is_ok_and(|ran| ran.status.success());
    if !have("unshare", usable, "unshare cannot make a network of its own here") {
        return;
    }
    assert_eq!(statuses(&wrapper, &["127.9.9.9", "2001:db8::5", "10.4.0.1"]), [Some(0), Some(0), Some(4)]);
}

#[test]
fn the_manual_page_has_every_option_and_command() {
    let help = String::from_utf8(kerneld().arg("--help").output().unwrap().stdout).unwrap();
    let manual = include_str!("../../docs/man/kerneld.8").replace('\\', "");
    let indented = help.lines().filter(|line| line.starts_with("  "));
    let first = indented.flat_map(|line| line.split_whitespace().take_while(|word| word.starts_with('-')));
    let options: Vec<&str> = first.map(|word| word.trim_end_matches(',')).collect();
    assert!(options.contains(&"--config") && options.contains(&"-V"), "{help}");
    for option in options {
        assert!(manual.contains(option), "kerneld.8 says nothing of {option}");
    }
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let named = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    for line in commands.lines().take_while(|line| !line.is_empty()).filter(named) {
        let command = line.split_whitespace().next().unwrap();
        let told = manual.contains(&format!("\n.TP\n.B {command}\n"));
        assert!(told || command == "help", "kerneld.8 says nothing of {command}");
    }
}

/// The README shows it, and a terminal may have 80 columns.
#[test]
fn the_demo_succeeds_within_80_columns_and_says_what_ran() {
    let demo = kerneld().arg("demo").output().unwrap();
    let shown = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    for wanted in ["ilp32-old", "lp64-new", "-22 EINVAL", "nothing: refused"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
}
