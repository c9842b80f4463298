//! The program from outside, on two small scenarios and the model alone.

use assert_cmd::Command;
use std::path::Path;
use tempfile::TempDir;

const SCENARIO: &str =
    "about = \"a load\"\n[[helper]]\nexit = 7\n[[step]]\nask = \"a\"\ncommand = 2\ntext = \"ppp\"\n";

/// A folder of one scenario and a list of differences.
fn setup(scenario: &str, differences: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("scenarios")).unwrap();
    std::fs::write(dir.path().join("scenarios/load.toml"), scenario).unwrap();
    std::fs::write(dir.path().join("differences.toml"), differences).unwrap();
    dir
}

fn compare(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("kerneld-compare")
        .unwrap()
        .args(["--old=model", "--scenarios=scenarios", "--differences=differences.toml"])
        .args(if args.iter().any(|arg| arg.starts_with("--new")) { &[][..] } else { &["--new=model"] })
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn equal_sides_are_a_success_in_every_format() {
    let dir = setup(SCENARIO, "");
    let (status, table, _) = compare(dir.path(), &["--all"]);
    assert_eq!(status, 0, "{table}");
    assert!(table.contains("status 7") && table.contains("1 scenarios: 1 the same"), "{table}");
    let (status, json, _) = compare(dir.path(), &["--format=json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["scenarios"][0]["cells"][0]["old"]), (0, &"status 7".into()));
    let (_, junit, _) = compare(dir.path(), &["--format=junit"]);
    assert!(junit.starts_with("<?xml") && junit.contains("tests=\"1\""), "{junit}");
    let (_, tap, _) = compare(dir.path(), &["--format=tap"]);
    assert_eq!(tap, "TAP version 14\n1..1\nok 1 - load\n");
}

#[test]
fn an_unmet_expectation_is_a_failure() {
    let wrong = format!("{SCENARIO}[[expect]]\nwhat = \"answer a\"\nis = \"status 8\"\n");
    let (status, tap, _) = compare(setup(&wrong, "").path(), &["--format=tap"]);
    assert_eq!(status, 1);
    assert!(tap.contains("not ok 1 - load") && tap.contains("status 8"), "{tap}");
}

#[test]
fn a_difference_that_is_not_seen_is_a_failure() {
    let stale = "[[difference]]\nid = \"gone\"\nscenario = \"*\"\nwhat = \"answer a\"\nold = \"a\"\nnew = \"b\"\n\
                 why = \"w\"\ndocs = \"d\"\n";
    let dir = setup(SCENARIO, stale);
    let (status, table, _) = compare(dir.path(), &[]);
    assert!(status == 1 && table.contains("\"gone\""), "{table}");
    // Of a part of the scenarios nothing follows.
    assert_eq!(compare(dir.path(), &["load"]).0, 0);
    // But for one that is named.
    let dir = setup(SCENARIO, &stale.replace("scenario = \"*\"", "scenario = \"unload load\""));
    let (status, tap, _) = compare(dir.path(), &["--format=tap", "load"]);
    assert!(status == 1 && tap.contains("not ok 1 - load\n# intended difference \"gone\""), "{tap}");
}

#[test]
fn what_cannot_be_run_is_told_with_file_and_line() {
    let (status, _, error) = compare(setup("about = \"x\"\nstep = 1\n", "").path(), &[]);
    assert!(status == 2 && error.contains("load.toml:2:"), "{error}");
    let dir = setup(SCENARIO, "");
    let (status, _, error) = compare(dir.path(), &["nothing-like-that"]);
    assert!(status == 2 && error.contains("no scenario"), "{error}");
    let (status, _, error) = compare(dir.path(), &["--new=missing"]);
    assert!(status == 2 && error.contains("missing"), "{error}");
}
