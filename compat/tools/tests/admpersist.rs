//! admpersist as people run it.

use assert_cmd::Command;
use std::fs;
use tempfile::TempDir;

struct Admin {
    folder: TempDir,
}

impl Admin {
    fn new() -> Self {
        Admin { folder: tempfile::tempdir().unwrap() }
    }

    /// admpersist with these words, on this test's file.
    fn run(&self, words: &[&str]) -> assert_cmd::assert::Assert {
        let file = self.folder.path().join("persist.gdbm");
        Command::new(env!("CARGO_BIN_EXE_admpersist")).arg("--file").arg(file).args(words).assert()
    }

    fn refuses(&self, words: &[&str], why: &str) {
        let refused = self.run(words).failure().code(1).stdout("");
        let told = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(told.starts_with("admpersist: ") && told.contains(why), "{told}");
    }
}

#[test]
fn sets_lists_and_deletes() {
    let admin = Admin::new();
    admin.run(&[]).success().stdout("");
    admin.run(&["sb_irq=5", "sb_io=0x220,0x388", "volume=-1"]).success().stdout("");
    admin.run(&[]).success().stdout("sb_io=0x220,0x388\nsb_irq=0x5\nvolume=0xffffffff\n");
    admin.run(&["sb_io", "irq", "sb_irq=010"]).success().stdout("sb_io=0x220,0x388\n'irq' not found\n");
    admin.run(&["sb_irq"]).success().stdout("sb_irq=0x8\n");
    admin.run(&["sb_irq=7"]).success();
    admin.run(&["-d", "sb_io", "volume"]).success();
    admin.run(&[]).success().stdout("sb_irq=0x7\n").stderr("");
}

#[test]
fn a_mistake_changes_nothing() {
    let admin = Admin::new();
    admin.run(&["irq=5"]).success();
    admin.refuses(&["irq=6", "io=1,x"], "'io=1,x': 'x' is not a C int");
    admin.refuses(&["irq="], "not a C int");
    admin.refuses(&["=1"], "'' is not a key");
    admin.run(&["-d", "io"]).success().stdout("'io' not found\n");
    admin.run(&["-d"]).failure().code(2);
    admin.run(&[]).success().stdout("irq=0x5\n");
}

#[test]
fn what_is_no_list_of_ints_is_shown_as_bytes() {
    use kerneld_persist::{Change, Key, Store};
    let admin = Admin::new();
    let store = Store::new(admin.folder.path().join("persist.gdbm"));
    store.apply(&[Change::Set(Key::new(b"od\x1bd").unwrap(), b"abc\xff\x01".to_vec())]).unwrap();
    admin.run(&["irq=1"]).success();
    admin.run(&[]).success().stdout("irq=0x1\nod\\x1bd: 5 bytes that are not C ints: 61 62 63 ff 01\n");
}

#[test]
fn the_file_is_the_one_that_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kerneld.toml");
    let file = folder.path().join("settings.gdbm");
    let run = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_admpersist")).arg("--config").arg(&config).args(words).assert()
    };
    fs::write(&config, format!("modprobe = '/sbin/modprobe'\n[persist]\nfile = '{}'\n", file.display()))
        .unwrap();
    run(&["irq=5"]).success();
    assert!(file.exists());
    run(&[]).success().stdout("irq=0x5\n");

    fs::write(&config, "[persist]\nfile = 5\n").unwrap();
    let refused = run(&[]).failure().code(1);
    let told = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(told.contains("kerneld.toml") && told.contains("--file"), "{told}");
}

#[test]
fn an_unusable_file_is_told_by_name() {
    let admin = Admin::new();
    fs::write(admin.folder.path().join("persist.gdbm"), "something else").unwrap();
    admin.refuses(&[], "persist.gdbm: no usable GDBM database");
    admin.refuses(&["irq=5"], "persist.gdbm: no usable GDBM database");
}
