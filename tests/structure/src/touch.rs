//! What each room of a crate (a module below its root, with all that is below it) imports and touches, judged by the
//! names that it mentions, and the table that says what it may.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Mentions, Name, mentions};
use crate::source::Crate;

/// What there is to touch: the word for it, and the paths whose mention means it.
const KINDS: &[(&str, &[&str])] = &[
    (
        "files",
        &[
            "std::fs",
            "std::os::unix::fs",
            "tempfile",
            "procfs",
            "gdbm_native",
            "nix::fcntl",
            "nix::dir",
            "nix::sys::inotify",
            "nix::sys::stat",
            "nix::sys::statfs",
            "rustix::fs",
            "nix::unistd::access",
            "nix::unistd::chown",
            "nix::unistd::fchown",
            "nix::unistd::fsync",
            "nix::unistd::linkat",
            "nix::unistd::mkdir",
            "nix::unistd::unlink",
        ],
    ),
    (
        "processes",
        &[
            "std::process",
            "std::os::unix::process",
            "caps",
            "seccompiler",
            "signal_hook",
            "rustix::process",
            "rustix::thread",
            "nix::sched",
            "nix::sys::prctl",
            "nix::sys::ptrace",
            "nix::sys::resource",
            "nix::sys::signal",
            "nix::sys::wait",
            "nix::unistd::chroot",
            "nix::unistd::exec",
            "nix::unistd::fork",
            "nix::unistd::setgid",
            "nix::unistd::setgroups",
            "nix::unistd::setresgid",
            "nix::unistd::setresuid",
            "nix::unistd::setsid",
            "nix::unistd::setuid",
        ],
    ),
    ("queue", &["kerneld_protocol::queue", "kerneld_protocol::client", "sysvmq"]),
    ("pipes", &["ipc_channel", "std::os::unix::net", "nix::sys::socket", "rustix::event", "nix::poll"]),
    ("modules", &["nix::kmod"]),
    ("threads", &["std::thread", "std::sync::Mutex", "std::sync::Condvar", "std::sync::mpsc", "rayon"]),
    (
        "clock",
        &[
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "std::thread::sleep",
            "jiff::Timestamp::now",
        ],
    ),
    ("environment", &["std::env"]),
    ("system calls", &["libc", "syscalls"]),
];

/// Names below those that only describe: types to pass on, and constants.
const HARMLESS: &[&str] = &[
    "std::fs::Metadata",
    "std::fs::Permissions",
    "std::os::unix::fs::MetadataExt",
    "std::os::unix::fs::PermissionsExt",
    "std::os::unix::process::ExitStatusExt",
    "std::process::ExitCode",
    "std::process::ExitStatus",
    "std::process::id",
    "nix::sys::signal::Signal",
    "kerneld_protocol::queue::Select",
    "libc::c_int",
    "libc::c_long",
    "libc::pid_t",
];

/// What a room imports and touches, or may.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Other rooms of the crate.
    pub imports: BTreeSet<String>,
    /// Words of this module.
    pub touches: BTreeSet<String>,
}

/// The rooms of `krate` by name; what stands in the root's file is none.
#[must_use]
pub fn rooms(krate: &Crate) -> BTreeMap<String, Room> {
    let mentions = mentions(krate);
    let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
    for (module, _) in krate.modules.iter().filter(|(_, module)| module.file != krate.root) {
        rooms.entry(module[0].clone()).or_default().add(module, &mentions);
    }
    rooms
}

/// What one module of `krate` touches.
#[must_use]
pub fn touched(krate: &Crate, module: &[&str]) -> BTreeSet<String> {
    let module: Name = module.iter().map(|part| (*part).to_owned()).collect();
    let mut room = Room::default();
    room.add(&module, &mentions(krate));
    room.touches
}

impl Room {
    fn add(&mut self, module: &Name, mentions: &Mentions) {
        let others = mentions.inner[module].iter().filter_map(|name| name.first());
        self.imports.extend(others.filter(|name| **name != module[0]).cloned());
        self.touches.extend(mentions.outer[module].iter().flat_map(kinds).map(str::to_owned));
    }
}

fn kinds(name: &Name) -> impl Iterator<Item = &'static str> {
    let kinds =
        KINDS.iter().filter(|(_, paths)| !is_harmless(name) && paths.iter().any(|path| begins(name, path)));
    kinds.map(|(kind, _)| *kind)
}

fn is_harmless(name: &Name) -> bool {
    let last = name.last().map(String::as_str).unwrap_or_default();
    last == last.to_uppercase() || HARMLESS.iter().any(|path| begins(name, path))
}

/// Whether `name` is `path`, lies below it or, in its last word, goes on from it.
fn begins(name: &Name, path: &str) -> bool {
    name.join("::").starts_with(path)
}

/// The first table below `heading` in a page: modules in back quotes, the rooms they may import, and what they may
/// touch; words separated by commas, and what follows in brackets is for people.
#[must_use]
pub fn table(page: &str, heading: &str) -> BTreeMap<String, Room> {
    let rows = page.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|')).skip(2).filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Room)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, module, imports, touches, ..] = cells.as_slice() else { return None };
    Some((module.trim_matches('`').to_owned(), Room { imports: words(imports), touches: words(touches) }))
}

fn words(cell: &str) -> BTreeSet<String> {
    let listed = cell.split('(').next().unwrap_or_default();
    listed
        .split(',')
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty() && word != "nothing")
        .collect()
}

/// Where the rooms and the table differ, either way, each as a sentence.
#[must_use]
pub fn differences(rooms: &BTreeMap<String, Room>, table: &BTreeMap<String, Room>) -> Vec<String> {
    let names: BTreeSet<&String> = rooms.keys().chain(table.keys()).collect();
    let nothing = Room::default();
    let mut told = Vec::new();
    for name in names {
        let (Some(is), Some(may)) = (rooms.get(name), table.get(name)) else {
            let place = if rooms.contains_key(name) { "the table" } else { "the sources" };
            told.push(format!("{name} is missing in {place}: {:?}", rooms.get(name).unwrap_or(&nothing)));
            continue;
        };
        told.extend(is.imports.difference(&may.imports).map(|what| format!("{name} imports {what}")));
        told.extend(may.imports.difference(&is.imports).map(|what| format!("{name} does not import {what}")));
        told.extend(is.touches.difference(&may.touches).map(|what| format!("{name} touches {what}")));
        told.extend(may.touches.difference(&is.touches).map(|what| format!("{name} does not touch {what}")));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::package_of;

    const PAGE: &str = "## Other\n| a | b | c |\n|---|---|---|\n| `x` | y | files |\n## Rooms\ntext\n\n\
                        | module | may import | may touch |\n|---|---|---|\n| `a` | b | files, clock (of its own) |\n\
                        | `b` | | nothing |\n\nmore";

    fn judged(a: &str, b: &str) -> Vec<String> {
        let package =
            package_of(&[("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod x;"), ("a/x.rs", a), ("b.rs", b)]);
        differences(&rooms(&package.crates[0]), &table(PAGE, "## Rooms"))
    }

    #[test]
    fn a_room_may_do_what_its_row_says() {
        let a = "use crate::b::B; use std::fs::read; fn f() { std::time::Instant::now(); }";
        assert_eq!(judged(a, "pub struct B;"), Vec::<String>::new());
    }

    #[test]
    fn what_goes_beyond_or_falls_short_is_told() {
        let told = judged("use std::fs::read;", "use crate::a; fn f() { libc::pause(); }");
        let wanted =
            ["a does not import b", "a does not touch clock", "b imports a", "b touches system calls"];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_room_without_a_row_and_a_row_without_a_room_are_told() {
        let package = package_of(&[("lib.rs", "mod a; mod c;"), ("a.rs", ""), ("c.rs", "")]);
        let told = differences(&rooms(&package.crates[0]), &table(PAGE, "## Rooms")).join("\n");
        assert!(told.contains("b is missing in the sources"), "{told}");
        assert!(told.contains("c is missing in the table"), "{told}");
    }

    #[test]
    fn names_mean_what_they_stand_for() {
        let kinds = |name: &str| kinds(&name.split("::").map(str::to_owned).collect()).collect::<Vec<_>>();
        assert_eq!(kinds("std::fs::read"), ["files"]);
        assert_eq!(kinds("libc::msgrcv"), ["system calls"]);
        assert_eq!(kinds("libc::EPERM"), [""; 0]);
        assert_eq!(kinds("nix::sys::signal::Signal::SIGTERM"), [""; 0]);
        assert_eq!(kinds("std::time::Instant::now"), ["clock"]);
        assert_eq!(kinds("std::time::Instant"), [""; 0]);
    }
}
