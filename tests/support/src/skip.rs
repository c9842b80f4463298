//! Tests that need more than a Rust toolchain: skipped where a person sees it, or failed where the tool is required.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, Once};

/// What this program has skipped: each test with its reason, once.
static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether a missing `tool` is an error: `KERNELD_TEST_REQUIRE` names it, or says `all`.
#[must_use]
pub fn required(tool: &str) -> bool {
    let names = env::var("KERNELD_TEST_REQUIRE").unwrap_or_default();
    names.split(',').any(|name| name == tool || name == "all")
}

/// Whether to go on with a test of `tool`, which is `usable` here, or else not: `why`.
///
/// # Panics
///
/// When it is not usable and [`required`].
#[must_use]
pub fn have(tool: &str, usable: bool, why: &str) -> bool {
    assert!(usable || !required(tool), "KERNELD_TEST_REQUIRE asks for {tool}, but {why}");
    if !usable {
        say(&format!("{why} (KERNELD_TEST_REQUIRE calls this {tool})"));
    }
    usable
}

/// Whether to go on with a test that runs this program.
///
/// # Panics
///
/// When it is not there and [`required`].
#[must_use]
pub fn have_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    let found = folders.map(|folder| folder.join(name)).any(|file| Path::new(&file).is_file());
    have(name, found, &format!("{name} is not on this machine"))
}

/// Whether to go on with a test that only root can make.
#[must_use]
pub fn as_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        say("only root can be several users");
    }
    root
}

/// Says what was skipped on the real standard error: what `eprintln!` writes, the test harness keeps for itself
/// unless the test fails.
fn say(why: &str) {
    static CLOSING: Once = Once::new();
    // SAFETY: `closing` is a function of the right kind for the whole life of the program.
    CLOSING.call_once(|| assert_eq!(unsafe { libc::atexit(closing) }, 0));
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let skipped = format!("SKIP: {test}: {why}");
    if SKIPPED.lock().is_ok_and(|mut all| all.insert(skipped.clone())) {
        line(&skipped);
    }
}

extern "C" fn closing() {
    let count = SKIPPED.lock().map_or(0, |all| all.len());
    let tests = if count == 1 { "test" } else { "tests" };
    line(&format!("SKIPPED: {count} {tests} in part or as a whole; docs/testing.md says what they need"));
}

fn line(text: &str) {
    // With nobody to read it there is nobody to tell.
    drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
}
