//! `--old PATH`: a real program that opens the channel as kerneld did, beside the model.

use assert_cmd::Command;
use kerneld_test_support::have;
use std::path::{Path, PathBuf};

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios");

/// Cargo builds examples beside the tests.
fn tiny_kerneld() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("examples").join("tiny_kerneld")
}

fn compare(old: &Path, names: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("none.toml"), "").unwrap();
    let output = Command::cargo_bin("kerneld-compare")
        .unwrap()
        .arg("--old")
        .arg(old)
        .args(["--new=model", "--differences=none.toml", "--format=tap", "--scenarios", SCENARIOS])
        .args(names)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

/// Whether this system lets us do it; says so where it does not.
fn possible(text: &str) -> bool {
    let refused = ["gives us no mount namespace", "cannot become root of a user namespace", "seccomp"]
        .into_iter()
        .any(|reason| text.contains(reason));
    have("namespaces", !refused, &format!("an old kerneld cannot be run here: {text}"))
}

#[test]
fn a_program_that_serves_the_channel_is_observed_like_the_model() {
    let names =
        ["load", "load-layouts", "load-exit-200", "load-trigger-pid", "unload", "unknown", "foreign-types"];
    let (status, text) = compare(&tiny_kerneld(), &names);
    if possible(&text) {
        assert_eq!(status, 0, "{text}");
    }
}

#[test]
fn what_it_does_otherwise_is_seen() {
    let (status, text) = compare(&tiny_kerneld(), &["load-two-names", "term-and-start"]);
    if possible(&text) {
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("lasting helpers at once: old \"1\", new \"2\""), "{text}");
        assert!(text.contains("\nok 2 - term-and-start"), "{text}");
    }
}

#[test]
fn a_program_that_does_not_serve_cannot_be_run() {
    let (status, text) = compare(Path::new("/bin/false"), &["load"]);
    if possible(&text) {
        assert!(status == 2 && text.contains("did not start"), "{text}");
    }
}
