//! The store's file, against C gdbm's own tools and files, and against what goes wrong with files.

use kerneld_persist::store::MAX_BYTES;
use kerneld_persist::{Change, Key, Store};
use kerneld_test_support::have_program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder for one test, and a store in it.
fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("persist.gdbm"));
    (folder, store)
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn set(name: &str, value: i32) -> Change {
    Change::Set(key(name), value.to_ne_bytes().to_vec())
}

fn int(store: &Store, name: &str) -> Option<i32> {
    let value = store.get(&key(name)).unwrap()?;
    Some(i32::from_ne_bytes(value.try_into().unwrap()))
}

/// Runs gdbmtool's commands on a file whose keys end with NUL and whose values are ints; its output.
fn gdbmtool(file: &Path, commands: &str) -> String {
    let mut tool = Command::new("gdbmtool")
        .args(["--norc", "--quiet"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!("define key stringz\ndefine content int\n{commands}\n");
    tool.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{commands}");
    assert!(output.status.success(), "{commands}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn gdbmtool_finds_what_we_stored_and_not_what_we_deleted() {
    if !have_program("gdbmtool") {
        return;
    }
    let (_folder, store) = store();
    // Enough for many buckets; the hash of "ä" depends on the signedness of char.
    let names: Vec<String> = (0..600).map(|n| format!("driver_{n}_ä")).collect();
    let all: Vec<Change> = names.iter().zip(-300..).map(|(name, value)| set(name, value)).collect();
    store.apply(&all).unwrap();
    let some: Vec<Change> = names.iter().step_by(3).map(|name| Change::Delete(key(name))).collect();
    store.apply(&some).unwrap();

    let kept: Vec<(&String, i32)> =
        names.iter().zip(-300..).enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, pair)| pair).collect();
    let fetches: String = kept.iter().map(|(name, _)| format!("fetch \"{name}\"\n")).collect();
    let expected: String = kept.iter().map(|(_, value)| format!("{value}\n")).collect();
    assert_eq!(gdbmtool(store.file(), &fetches), expected);
    assert_eq!(gdbmtool(store.file(), "count"), "There are 400 items in the database.\n");
}

#[test]
fn we_find_what_gdbmtool_stored_and_it_finds_what_we_added() {
    if !have_program("gdbmtool") {
        return;
    }
    let (_folder, store) = store();
    let stores: String = (0..300).map(|n| format!("store parm{n} {}\n", n * 7)).collect();
    gdbmtool(store.file(), &stores);
    assert_eq!(store.list().unwrap().len(), 300);
    assert!((0..300).all(|n| int(&store, &format!("parm{n}")) == Some(n * 7)));

    store.apply(&[set("parm7", -1), set("new", 2), Change::Delete(key("parm8"))]).unwrap();
    assert_eq!(gdbmtool(store.file(), "fetch parm7\nfetch new\nfetch parm9"), "-1\n2\n63\n");
    assert_eq!(
        gdbmtool(store.file(), "store new 3\ndelete parm7\ncount"),
        "There are 299 items in the database.\n"
    );
    assert_eq!((int(&store, "new"), int(&store, "parm7")), (Some(3), None));
}

/// A copy of a file that a 32-bit program wrote, with the given magic number.
fn fixture(name: &str, magic: u8) -> (TempDir, Store) {
    let (folder, store) = store();
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gdbm").join(name);
    let mut bytes = fs::read(from).unwrap();
    bytes[0] = magic;
    fs::write(store.file(), bytes).unwrap();
    (folder, store)
}

/// The magic number's first byte, the only one in which the formats differ.
const OMAGIC: u8 = 0xce;
const MAGIC32: u8 = 0xcd;
const MAGIC64: u8 = 0xcf;

#[test]
fn files_of_32_bit_programs_are_read_and_keep_their_format() {
    use gdbm_native::{Layout, OpenOptions};
    let files = [
        ("off32.gdbm", OMAGIC, Layout::Off32),
        ("off32.gdbm", MAGIC32, Layout::Off32),
        ("i386.gdbm", MAGIC64, Layout::Off64Align4),
    ];
    for (name, magic, layout) in files {
        let (_folder, store) = fixture(name, magic);
        assert_eq!(store.list().unwrap().len(), 24, "{name}");
        let irqs = [5i32, 7, -1].map(i32::to_le_bytes).concat();
        assert_eq!(store.get(&key("sb_irq")).unwrap().unwrap(), irqs, "{name}");
        let latin1 = Key::new(b"m\xf6dule").unwrap();
        assert_eq!(store.get(&latin1).unwrap().unwrap(), 75i32.to_le_bytes(), "{name}");
        assert_eq!(store.get(&key("odd")).unwrap().unwrap(), b"abc", "{name}");

        let more: Vec<Change> = (0..200).map(|n| set(&format!("more{n}"), n)).collect();
        store.apply(&more).unwrap();
        store.apply(&[Change::Delete(latin1)]).unwrap();
        assert_eq!(store.list().unwrap().len(), 223, "{name}");
        assert_eq!(fs::read(store.file()).unwrap()[0], magic, "{name}");
        assert_eq!(OpenOptions::new().open(store.file()).unwrap().layout(), layout, "{name}");
    }
}

#[test]
fn a_missing_or_empty_file_holds_nothing_yet() {
    let (_folder, store) = store();
    assert_eq!(store.get(&key("irq")).unwrap(), None);
    fs::write(store.file(), "").unwrap();
    assert_eq!(store.get(&key("irq")).unwrap(), None);
    store.apply(&[set("irq", 5)]).unwrap();
    assert_eq!(int(&store, "irq"), Some(5));
}

#[test]
fn what_is_no_database_is_told_and_left_alone() {
    for contents in [&b"not a database"[..], b"\xcf\x9a\x57\x13", &[0; 5000]] {
        let (_folder, store) = store();
        fs::write(store.file(), contents).unwrap();
        let error = store.apply(&[set("irq", 5)]).unwrap_err();
        assert_eq!(error.errno(), libc::EIO);
        assert!(error.to_string().contains("persist.gdbm"), "{error}");
        assert_eq!(fs::read(store.file()).unwrap(), contents);
    }
}

#[test]
fn a_database_cut_anywhere_is_told_and_left_alone() {
    let (_folder, store) = fixture("off32.gdbm", OMAGIC);
    let whole = fs::read(store.file()).unwrap();
    for length in (1..whole.len()).step_by(61) {
        fs::write(store.file(), &whole[..length]).unwrap();
        let read = store.list();
        assert!(
            read.is_err() || read.unwrap().len() == 24,
            "cut to {length} bytes something is missing, unnoticed"
        );
    }
}

#[test]
fn a_store_that_grows_too_large_is_refused_whole() {
    let (_folder, store) = store();
    store.apply(&[set("irq", 5)]).unwrap();
    let error = store.apply(&[set("irq", 6), Change::Set(key("all"), vec![1; MAX_BYTES])]).unwrap_err();
    assert_eq!(error.errno(), libc::ENOSPC);
    assert_eq!(int(&store, "irq"), Some(5));
}

#[test]
fn a_program_that_writes_with_c_gdbm_keeps_us_out() {
    let (_folder, store) = store();
    store.apply(&[set("irq", 5)]).unwrap();
    let writer = fs::File::open(store.file()).unwrap();
    writer.lock().unwrap();
    assert_eq!(store.apply(&[set("irq", 6)]).unwrap_err().errno(), libc::EBUSY);
    writer.unlock().unwrap();
    assert_eq!(int(&store, "irq"), Some(5));
}

#[test]
fn writers_at_once_lose_nothing() {
    let (_folder, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..15 {
                    store.apply(&[set(&format!("writer{writer}_{n}"), n)]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 60);
}

#[test]
fn a_symbolic_link_stays_and_its_target_changes() {
    let (folder, store) = store();
    let target = folder.path().join("elsewhere.gdbm");
    Store::new(&target).apply(&[set("irq", 5)]).unwrap();
    std::os::unix::fs::symlink(&target, store.file()).unwrap();
    store.apply(&[set("irq", 6)]).unwrap();
    assert!(store.file().is_symlink());
    assert_eq!(int(&Store::new(&target), "irq"), Some(6));
}

#[test]
fn what_a_crash_left_is_swept_away() {
    let (folder, store) = store();
    fs::write(folder.path().join("persist.gdbm.new"), "half of something").unwrap();
    store.apply(&[set("irq", 5)]).unwrap();
    assert_eq!(int(&store, "irq"), Some(5));
    assert!(!folder.path().join("persist.gdbm.new").exists());
}
