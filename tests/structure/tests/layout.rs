//! Holds the layout of every package: no import circles, small files and functions, few places with `unsafe`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kerneld_structure::source::{self, Crate, Package};
use kerneld_structure::{circles, sizes, touch};

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 40;
const MEDIAN_FUNCTION: usize = 8;
const FILES_WITH_UNSAFE: usize = 4;
const FOLDERS_OF_THE_DAEMON: usize = 8;
const FILES_IN_A_FOLDER: usize = 10;

fn top() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// Fails where a package breaks `rule`.
fn hold(rule: &str, broken: impl Fn(&Package) -> Vec<String>) {
    let packages = source::workspace(&top()).unwrap();
    let told: Vec<String> =
        packages.iter().flat_map(|package| named(&package.name, &broken(package))).collect();
    assert!(told.is_empty(), "{rule}:\n{}", told.join("\n"));
}

/// Fails where the workspace as a whole breaks `rule`.
fn hold_together(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

fn named(name: &str, broken: &[String]) -> Vec<String> {
    broken.iter().map(|line| format!("{name}: {line}")).collect()
}

fn shown(file: &Path) -> String {
    file.strip_prefix(top()).unwrap_or(file).display().to_string()
}

#[test]
fn no_module_imports_itself_through_others() {
    hold("no import circle", |package| package.crates.iter().flat_map(circles::circles).collect());
}

#[test]
fn no_file_is_long() {
    hold("short files", |package| {
        let folders = ["src", "tests", "benches", "examples"];
        let files = folders.iter().flat_map(|folder| source::files(&package.folder.join(folder)));
        let lines = files.map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file));
        let long = lines.filter(|(lines, _)| *lines > LONGEST_FILE);
        long.map(|(lines, file)| format!("{} has {lines} lines", shown(&file))).collect()
    });
}

#[test]
fn no_function_is_long() {
    hold("short functions", |package| {
        let long = sizes::functions(package).into_iter().filter(|function| function.lines > LONGEST_FUNCTION);
        let line =
            |f: sizes::Function| format!("{}:{}: {} has {} lines", shown(&f.file), f.line, f.name, f.lines);
        long.map(line).collect()
    });
}

#[test]
fn half_of_the_functions_are_very_short() {
    hold("very short functions", |package| {
        let median = sizes::median(&sizes::functions(package));
        if median > MEDIAN_FUNCTION {
            vec![format!("half of the functions take {median} lines or more")]
        } else {
            vec![]
        }
    });
}

#[test]
fn unsafe_code_stays_in_few_files() {
    let packages = source::workspace(&top()).unwrap();
    let programs = packages.iter().filter(|package| !package.folder.starts_with(top().join("tests")));
    let files: Vec<String> = programs.flat_map(sizes::unsafe_files).map(|file| shown(&file)).collect();
    let broken = if files.len() > FILES_WITH_UNSAFE { files } else { vec![] };
    hold_together("unsafe code in few files", &broken);
}

#[test]
fn the_daemon_has_few_rooms_with_few_files_each() {
    let source = top().join("src");
    let (folders, files): (Vec<_>, Vec<_>) =
        source::entries(&source).into_iter().partition(|entry| entry.is_dir());
    let rooms = folders.iter().map(|folder| (folder, source::entries(folder).len()));
    let full = rooms.chain([(&source, files.len())]).filter(|(_, count)| *count > FILES_IN_A_FOLDER);
    let mut broken: Vec<String> =
        full.map(|(folder, count)| format!("{} holds {count}", shown(folder))).collect();
    if folders.len() > FOLDERS_OF_THE_DAEMON {
        broken.push(format!("src holds {} folders", folders.len()));
    }
    hold_together("few rooms", &broken);
}

#[test]
fn a_module_with_parts_is_a_folder_with_mod_rs() {
    hold("mod.rs style", |package| {
        let files = source::files(&package.folder.join("src"));
        let beside = files.iter().filter(|file| file.with_extension("").is_dir());
        beside.map(|file| format!("{} belongs in the folder of its name, as mod.rs", shown(file))).collect()
    });
}

#[test]
fn every_file_belongs_to_a_crate() {
    hold("every file belongs to a crate", |package| {
        let modules = package.crates.iter().flat_map(|krate| krate.modules.values());
        let known: BTreeSet<&PathBuf> = modules.map(|module| &module.file).collect();
        let files = source::files(&package.folder.join("src"));
        let lost = files.iter().filter(|file| !known.contains(file) && !is_of_tests(file));
        lost.map(|file| shown(file)).collect()
    });
}

/// `tests.rs`, or `NAME_tests.rs` where a folder has more than one.
fn is_of_tests(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"))
}

fn daemon() -> Crate {
    source::package(&top()).unwrap().crates.remove(0)
}

#[test]
fn the_daemons_rooms_import_and_touch_what_the_table_says() {
    let page = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let table = touch::table(&page, "## What may touch what");
    hold_together("the table of docs/architecture.md", &touch::differences(&touch::rooms(&daemon()), &table));
}

/// docs/architecture.md names them.
#[test]
fn what_decides_touches_nothing() {
    let daemon = daemon();
    for module in ["decision", "jobs", "delays"] {
        assert!(
            touch::touched(&daemon, &["executor", module]).is_empty(),
            "executor::{module} is to be pure"
        );
    }
}
