//! What the tests of this crate share: fixtures, snapshots of trees, the real kernel's index.
#![allow(dead_code)] // each test program uses a part of it

pub mod corpus;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kerneld_migrate::plan::{Plan, Request};
use kerneld_test_support::{have, have_program, required};

/// The project's top directory.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace").to_owned()
}

/// The names of all fixtures.
pub fn fixtures() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(top().join("tests/fixtures"))
        .expect("tests/fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"))
        .collect();
    names.sort();
    names
}

/// A copy of a fixture in a temporary folder, so that a test may write to it.
pub fn copy_of(fixture: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary folder");
    copy(&top().join("tests/fixtures").join(fixture), directory.path());
    directory
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder of a fixture") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("its type");
        if kind.is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path()).expect("a link"), &target).expect("a link");
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
            // a checkout under a loose umask must not look like a file that everybody may write to
            let mode = std::fs::metadata(&target).expect("the copy").mode() & 0o7755;
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)).expect("its mode");
        }
    }
}

/// A root with one configuration file.
pub fn root_with(configuration: impl AsRef<[u8]>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(directory.path().join("etc")).expect("a folder");
    std::fs::write(directory.path().join("etc/conf.modules"), configuration).expect("a file");
    directory
}

/// Everything about a tree that `undo` has to bring back: type, mode, owner, time of change and content.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    walk(root, root, &mut all);
    all
}

fn walk(root: &Path, path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let metadata = std::fs::symlink_metadata(path).expect("metadata");
    let content = if metadata.is_file() {
        format!("{:?}", std::fs::read(path).expect("content"))
    } else if metadata.is_symlink() {
        format!("{:?}", std::fs::read_link(path).expect("a link"))
    } else {
        String::new()
    };
    let about = format!(
        "{:o} {}:{} {}.{:09} {content}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    all.insert(path.strip_prefix(root).expect("below the root").to_owned(), about);
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            walk(root, &entry.expect("an entry").path(), all);
        }
    }
}

/// A folder with a real kernel's module index, for the real modprobe; `None` after a loud SKIP.
pub fn real_kernel() -> Option<PathBuf> {
    if !have_program("modprobe") {
        return None;
    }
    let named = std::env::var_os("KERNELD_TEST_KERNEL_ROOT").map(PathBuf::from);
    let root = named.unwrap_or_else(|| top().join("tests/vm/cache"));
    let there = || ["lib", "usr/lib"].iter().any(|lib| root.join(lib).join("modules").exists());
    if !there() && required("kernel") {
        let fetch = top().join("tests/vm/fetch-kernel");
        let fetched = Command::new(&fetch).arg(&root).status();
        assert!(
            fetched.is_ok_and(|status| status.success()),
            "{} {} failed",
            fetch.display(),
            root.display()
        );
    }
    let why = format!("no kernel to ask about: `tests/vm/fetch-kernel` fetches one into {}", root.display());
    have("kernel", there(), &why).then_some(root)
}

/// The plan for a root, with the table of modules or with a real kernel.
pub fn plan(root: &Path, kernel_root: Option<&Path>) -> Plan {
    let kernel_root = kernel_root.map(Path::to_owned);
    Plan::make(&Request { root: root.to_owned(), kernel_root, ..Request::default() }).expect("a plan")
}

/// Every line that needs a person, as `--accept` takes it.
pub fn open_places(plan: &Plan) -> Vec<String> {
    plan.account.open_questions().map(kerneld_migrate::account::Line::place).collect()
}

/// All written lines that are no comments, without the file's name.
pub fn live_lines(plan: &Plan) -> Vec<String> {
    let lines = plan.files.iter().flat_map(|file| &file.lines);
    lines.map(|line| line.text.clone()).filter(|text| !text.starts_with('#')).collect()
}

/// Has a shell parse (not run) the body of every install and remove line, as kmod would give it to one.
pub fn check_commands(plan: &Plan) {
    for line in live_lines(plan) {
        let mut words = line.splitn(3, ' ');
        let (Some("install" | "remove"), Some(_), Some(body)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // kmod takes one level of backslashes away
        let mut text = String::new();
        let mut characters = body.chars();
        while let Some(character) = characters.next() {
            text.extend(if character == '\\' { characters.next() } else { Some(character) });
        }
        let parsed =
            Command::new("/bin/sh").args(["-n", "-c", "--", &text]).output().expect("there is a shell");
        assert!(parsed.status.success(), "{line}\n{}", String::from_utf8_lossy(&parsed.stderr));
    }
}
