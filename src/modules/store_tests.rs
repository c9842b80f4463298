use super::*;
use crate::helper::modprobe::Inquiry;
use crate::modules::arrivals;
use crate::modules::autoclean::Why;
use nix::errno::Errno;
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

/// A kernel's `proc` and `sys` in a directory: modules come and go, as files, where the real ones would.
struct Machine {
    root: TempDir,
    loads: Cell<u32>,
}

impl Machine {
    fn boot() -> Self {
        let machine = Machine { root: TempDir::new().unwrap(), loads: Cell::new(0) };
        for dir in ["proc/sys/kernel/random", "sys/module", "old", "state"] {
            fs::create_dir_all(machine.path(dir)).unwrap();
        }
        machine.reboot("boot-1");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn reboot(&self, id: &str) {
        fs::write(self.path("proc/sys/kernel/random/boot_id"), format!("{id}\n")).unwrap();
        fs::write(self.path("proc/modules"), "").unwrap();
    }

    fn kernel(&self) -> Kernel {
        Kernel::below(self.root.path())
    }

    /// The daemon's, or that of the command line: they are alike.
    fn store(&self) -> Store {
        Store::open(&self.path("state"), self.kernel())
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("proc/modules")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn set_lines(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path("proc/modules"), text).unwrap();
    }

    /// `NAME REFERENCES USERS`: how `/proc/modules` shows it from now on.
    fn show(&self, module: &str) {
        let words: Vec<&str> = module.split(' ').collect();
        let mut lines = self.lines();
        lines.retain(|line| !line.starts_with(&format!("{} ", words[0])));
        lines.insert(0, format!("{} 4096 {} {} Live 0x0", words[0], words[1], words[2]));
        self.set_lines(&lines);
    }

    fn load(&self, module: &str) {
        self.show(module);
        let name = module.split(' ').next().unwrap();
        fs::create_dir(self.path("sys/module").join(name)).unwrap();
    }

    /// As the kernel does it: only what nothing uses, and those it used have a user less.
    fn unload(&self, name: &str) -> nix::Result<()> {
        let is = |line: &&String| line.starts_with(&format!("{name} "));
        let mut lines = self.lines();
        let line = lines.iter().find(is).ok_or(Errno::ENOENT)?;
        if line.split(' ').nth(2) != Some("0") {
            return Err(Errno::EWOULDBLOCK);
        }
        lines.retain(|line| !line.starts_with(&format!("{name} ")));
        let lines: Vec<String> =
            lines.iter().map(|line| line.replace(&format!(" 1 {name}, "), " 0 - ")).collect();
        self.set_lines(&lines);
        // Kept, so that the file system cannot give its inode number again: the kernel would not.
        self.loads.set(self.loads.get() + 1);
        fs::rename(self.path("sys/module").join(name), self.path("old").join(self.loads.get().to_string()))
            .unwrap();
        Ok(())
    }

    /// Loads through us.
    fn request(&self, modules: &[&str]) {
        let kernel = self.kernel();
        let before = kernel.listing().unwrap();
        modules.iter().for_each(|module| self.load(module));
        self.store().adopt(arrivals::since(&before, &kernel).unwrap()).unwrap();
    }

    fn sweep(&self) -> Swept {
        self.store().sweep(&mut |name| self.unload(name)).unwrap()
    }
}

fn swept(gone: &[&str], idle: &[&str]) -> Swept {
    let names = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
    Swept { gone: names(gone), idle: names(idle), kept: Vec::new() }
}

#[test]
fn the_second_sweep_takes_a_module_and_then_what_it_pulled_in() {
    let machine = Machine::boot();
    assert!(machine.store().is_empty().unwrap());
    machine.load("hand 0 -");
    machine.request(&["fat 1 vfat,", "vfat 0 -"]);
    assert!(!machine.store().is_empty().unwrap());
    assert_eq!(machine.sweep(), swept(&[], &["fat", "vfat"]));
    assert_eq!(machine.sweep(), swept(&["vfat", "fat"], &[]));
    assert!(machine.store().is_empty().unwrap());
    assert_eq!(machine.lines(), ["hand 4096 0 - Live 0x0"]);
}

#[test]
fn use_between_two_sweeps_starts_the_count_anew() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    machine.sweep();
    machine.show("vfat 1 -");
    assert_eq!(machine.sweep().kept, [("vfat".to_owned(), Why::InUse(1))]);
    machine.show("vfat 0 -");
    assert_eq!(machine.sweep(), swept(&[], &["vfat"]));
    assert_eq!(machine.sweep(), swept(&["vfat"], &[]));
}

#[test]
fn a_module_loaded_again_by_hand_is_not_ours() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    machine.sweep();
    machine.unload("vfat").unwrap();
    machine.load("vfat 0 -");
    assert_eq!(machine.sweep(), Swept::default());
    assert!(machine.store().is_empty().unwrap());
}

#[test]
fn a_module_loaded_again_by_us_begins_anew() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    machine.sweep();
    machine.unload("vfat").unwrap();
    machine.request(&["vfat 0 -"]);
    assert_eq!(machine.sweep(), swept(&[], &["vfat"]));
}

#[test]
fn nothing_outlives_a_reboot() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    machine.sweep();
    machine.reboot("boot-2");
    machine.show("vfat 0 -");
    assert!(machine.store().is_empty().unwrap());
    assert_eq!(machine.sweep(), Swept::default());
}

#[test]
fn a_broken_file_unloads_nothing_and_is_kept_aside() {
    for text in
        ["", "{", "[]", "{\"boot_id\":\"boot-1\"}", "{\"boot_id\":\"boot-1\",\"modules\":{\"vfat\":{}}}"]
    {
        let machine = Machine::boot();
        machine.load("vfat 0 -");
        fs::write(machine.path("state/autoclean.json"), text).unwrap();
        assert_eq!(machine.sweep(), Swept::default(), "{text:?}");
        assert_eq!(machine.sweep(), Swept::default(), "{text:?}");
        assert_eq!(fs::read_to_string(machine.path("state/autoclean.broken")).unwrap(), text);
        machine.request(&["dummy 0 -"]);
        assert_eq!(machine.sweep(), swept(&[], &["dummy"]), "{text:?}");
    }
}

#[test]
fn a_refusal_is_told_once_a_sweep_and_starts_the_count_anew() {
    let machine = Machine::boot();
    machine.request(&["stuck 0 -", "vfat 0 -"]);
    machine.sweep();
    let mut asked = Vec::new();
    let refusing = machine.store().sweep(&mut |name| {
        asked.push(name.to_owned());
        if name == "stuck" { Err(Errno::EBUSY) } else { machine.unload(name) }
    });
    let kept = vec![("stuck".to_owned(), Why::Refused(Errno::EBUSY))];
    assert_eq!(refusing.unwrap(), Swept { kept, ..swept(&["vfat"], &[]) });
    assert_eq!(asked, ["stuck", "vfat"]);
    assert_eq!(machine.sweep(), swept(&[], &["stuck"]));
}

/// Ended by the first unload, whatever the sweep meant to do after it.
#[test]
fn a_crash_in_the_middle_of_a_sweep_loses_nothing() {
    let machine = Machine::boot();
    machine.request(&["fat 1 vfat,", "vfat 0 -"]);
    machine.sweep();
    let crash = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        machine.store().sweep(&mut |name| {
            machine.unload(name).unwrap();
            panic!("crash, as this test wants it")
        })
    }));
    assert!(crash.is_err());
    assert_eq!(machine.lines(), ["fat 4096 0 - Live 0x0"]);
    machine.load("vfat 0 -");
    assert_eq!(machine.sweep(), swept(&["fat"], &[]), "and vfat, by hand now, stays");
}

#[test]
fn what_an_unfinished_write_leaves_behind_does_not_matter() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    fs::write(machine.path("state/autoclean.json.new"), "{\"boot_id\":\"bo").unwrap();
    assert_eq!(machine.sweep(), swept(&[], &["vfat"]));
}

#[test]
fn an_unreadable_kernel_is_an_error_and_forgets_nothing() {
    let machine = Machine::boot();
    machine.request(&["vfat 0 -"]);
    fs::rename(machine.path("proc/modules"), machine.path("old/modules")).unwrap();
    let why = machine.store().sweep(&mut |_| panic!("nothing to unload")).unwrap_err();
    assert!(why.contains("proc/modules"), "{why}");
    fs::rename(machine.path("old/modules"), machine.path("proc/modules")).unwrap();
    assert_eq!(machine.sweep(), swept(&[], &["vfat"]));
}

#[test]
fn many_at_once_lose_no_module() {
    let machine = Machine::boot();
    let (store, sweeps) = (machine.store(), AtomicUsize::new(0));
    let names: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
    names.iter().for_each(|name| machine.load(&format!("{name} 1 -")));
    thread::scope(|scope| {
        for part in names.chunks(10) {
            let (store, kernel) = (store.clone(), machine.kernel());
            scope.spawn(move || {
                for name in part {
                    store.adopt([(name.clone(), kernel.identity(name).unwrap())].into()).unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..10 {
                    store.sweep(&mut |_| panic!("all are in use")).unwrap();
                    sweeps.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(sweeps.into_inner(), 20);
    assert_eq!(machine.sweep().kept.len(), names.len());
}

/// A helper that is a script. Written by another process: a descriptor of ours, open for writing while
/// some other test forks, would make the script busy (`ETXTBSY`).
fn helper(machine: &Machine, name: &str, script: &str) -> PathBuf {
    let path = machine.path(name);
    fs::write(path.with_extension("text"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let copied = Command::new("cp").arg(path.with_extension("text")).arg(&path).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn arrivals() -> Arrivals {
    ["vfat", "fat", "by_hand"].map(|name| (name.to_owned(), 1)).into()
}

#[test]
fn what_modprobe_does_not_name_is_someone_elses() {
    let machine = Machine::boot();
    let script = "[ \"$*\" = '-q -D -- fs-vfat' ] && echo insmod /x/fat.ko && echo insmod /x/vfat.ko";
    let modprobe = helper(&machine, "modprobe", script);
    let mut found = arrivals();
    let named = Inquiry::start(&modprobe, "fs-vfat").unwrap().unwrap().names().unwrap();
    found.retain(|name, _| named.contains(name));
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["fat", "vfat"]);
}

#[test]
fn a_module_hidden_by_an_install_command_is_ours_still() {
    let machine = Machine::boot();
    let modprobe = helper(&machine, "modprobe", "echo install /bin/true");
    let mut found = arrivals();
    let named = Inquiry::start(&modprobe, "by-hand").unwrap().unwrap().names().unwrap();
    found.retain(|name, _| named.contains(name));
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["by_hand"]);
}

#[test]
fn only_a_modprobe_is_asked() {
    let machine = Machine::boot();
    let other = helper(&machine, "kmod", "exit 1");
    let link = machine.path("loader");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let asked = |path: &Path| Inquiry::start(path, "vfat").unwrap().map(Inquiry::names);
    assert!(asked(&link).unwrap().unwrap_err().contains("modprobe -D vfat"));
    assert!(asked(&helper(&machine, "recorder", "exit 1")).is_none());
}
