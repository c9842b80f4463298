//! A small kerneld of the old kind (`c/oldkerneld.c`), compiled for each word size and protocol, stands in for a
//! real one: it is observed like the model, however busy the machine is.
//!
//! The test that runs all scenarios takes some minutes and runs on request only; `KERNELD_TEST_RUNS` says how often.

use assert_cmd::Command;
use kerneld_test_support::compiler::Compiler;
use kerneld_test_support::{have, process::workspace_program};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Static, as old programs had to be to run everywhere.
const CC32: Compiler = Compiler::new("gcc-i686-linux-gnu", "i686-linux-gnu-gcc", &["-static", "-O1"]);
const CC64: Compiler = Compiler::new("cc", "cc", &["-static", "-O1"]);

/// A few scenarios of each kind that take no time.
const SHORT: [&str; 9] = [
    "load",
    "load-layouts",
    "unload",
    "system-long-output",
    "kdstat-words",
    "persist-*",
    "type-*",
    "route*",
    "two-protocols",
];

/// Every program that there was: word size, protocol, and what it is found to speak.
fn programs() -> Vec<(PathBuf, &'static str, TempDir)> {
    let kinds: [(&Compiler, &[&str], &str); 4] = [
        (&CC32, &[], "ilp32-old"),
        (&CC32, &["-DNEW_PROTOCOL"], "ilp32-old, ilp32-new"),
        (&CC64, &[], "lp64-old"),
        (&CC64, &["-DNEW_PROTOCOL"], "lp64-old, lp64-new"),
    ];
    let source = Path::new(TOP).join("compat/compare/tests/c/oldkerneld.c");
    let made = kinds.into_iter().filter(|(compiler, ..)| compiler.works());
    made.map(|(compiler, flags, speaks)| {
        let folder = tempfile::tempdir().unwrap();
        (compiler.compile_file(&source, flags, folder.path()), speaks, folder)
    })
    .collect()
}

fn compare(old: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::cargo_bin("kerneld-compare")
        .unwrap()
        .arg("--old")
        .arg(old)
        .args(words)
        .current_dir(TOP)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

/// Whether this system lets us do it; says so where it does not.
fn possible(text: &str) -> bool {
    let refused = ["gives us no mount namespace", "cannot become root of a user namespace", "cannot mount"];
    let refused = refused.into_iter().any(|reason| text.contains(reason));
    have("namespaces", !refused, &format!("an old kerneld cannot be run here: {text}"))
}

#[test]
fn each_kind_of_program_is_asked_what_it_speaks_and_does_what_the_model_does() {
    for (program, speaks, _folder) in programs() {
        let (status, text) = compare(&program, &[&["--new=model", "--format=json"], &SHORT[..]].concat());
        if !possible(&text) {
            return;
        }
        assert!(text.contains(&format!("({speaks})")), "{speaks}: {text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        for scenario in report["scenarios"].as_array().unwrap() {
            let strange = |cell: &&serde_json::Value| cell["verdict"] == "unexplained";
            let strange: Vec<_> = scenario["cells"].as_array().unwrap().iter().filter(strange).collect();
            assert!(strange.is_empty() && scenario["error"].is_null(), "{speaks}: {scenario}");
        }
        assert_ne!(status, 2, "{speaks}");
    }
}

#[test]
fn scenarios_in_other_layouts_are_left_out_and_said_to_be() {
    let Some((program, _, _folder)) = programs().into_iter().next() else { return };
    let (_, text) = compare(&program, &["--layout=ilp32-old", "--format=tap", "two-protocols", "load"]);
    if possible(&text) {
        let left_out = "two-protocols # SKIP it has messages in ilp32-new, lp64-old, lp64-new";
        assert!(text.contains("ok 1 - load\n") && text.contains(left_out), "{text}");
    }
}

/// Keeps each processor busy until it is dropped.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "takes some minutes: run it with --ignored, and KERNELD_TEST_RUNS=5 for five runs"]
fn all_that_it_can_play_comes_out_the_same_on_a_busy_machine() {
    let runs: u32 =
        std::env::var("KERNELD_TEST_RUNS").map_or(1, |runs| runs.parse().expect("a number of runs"));
    let enough = AtomicBool::new(false);
    let kerneld = workspace_program("kerneld");
    let new = format!("--new={}", kerneld.display());
    thread::scope(|scope| {
        let _busy = Busy(&enough);
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        for (program, speaks, _folder) in programs().into_iter().step_by(2) {
            for run in 1..=runs {
                let (status, text) = compare(&program, &[&new, "--format=tap"]);
                if !possible(&text) {
                    return;
                }
                let steady = !text.contains("was so once");
                assert!(status == 0 && steady, "{speaks}, run {run} of {runs}: {text}");
            }
        }
    });
}
