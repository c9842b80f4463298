//! The target system has a modprobe.d of its own: conflicts are shown, and `verify` says what a chrooted modprobe does.

mod support;

use std::path::Path;
use std::process::Command;

use kerneld_migrate::account::{Fate, Kind};
use kerneld_migrate::verify::{Verdict, verify};
use support::{live_lines, plan, real_kernel, root_with};

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    std::fs::write(path, text).expect("a file");
}

const OLD: &str = "alias eth0 tulip\noptions tulip options=1\npost-install lp /bin/true -x\nabove loop brd\n\
                   alias parport_lowlevel parport_pc\n";

/// Lines of the target that stand against ours, and the lines of the old file that they stand against.
const AGAINST: [(&str, &[usize]); 10] = [
    ("alias eth0 3c59x", &[1]),
    ("alias netdev-eth* 3c59x", &[1]),
    ("options tulip options=2", &[2]),
    ("install lp /bin/false", &[3]),
    ("alias lp dummy", &[3]),
    ("softdep loop post: dummy", &[4]),
    ("softdep lp pre: dummy", &[3]),
    ("blacklist parport_pc", &[5]),
    ("install parport_pc /bin/false", &[5]),
    ("install tulip /bin/false", &[1, 2]),
];

#[test]
fn a_line_of_the_target_against_ours_is_shown_with_its_place() {
    for (line, expected) in AGAINST {
        for file in ["etc/modprobe.d/local.conf", "lib/modprobe.d/dist.conf", "run/modprobe.d/zzz.conf"] {
            let root = root_with(OLD);
            put(root.path(), file, &format!("# by hand\n{line}\n"));
            let planned = plan(root.path(), None);
            let asked: Vec<usize> = planned.account.open_questions().map(|line| line.number).collect();
            assert_eq!(asked, expected, "{file}: {line}");
            for open in planned.account.open_questions() {
                assert_eq!(open.question, Some(Kind::Site), "{line}");
                let why = open.why.join("; ");
                assert!(why.contains(&format!("/{file}:2")) && why.contains(line), "{why}");
            }
        }
    }
}

#[test]
fn lines_of_the_target_that_say_the_same_or_speak_of_others_are_no_conflict() {
    for line in ["alias eth0 tulip", "options tulip csr0=3", "blacklist pcspkr", "alias eth1 3c59x"] {
        let root = root_with(OLD);
        put(root.path(), "etc/modprobe.d/local.conf", line);
        let planned = plan(root.path(), None);
        assert_eq!(planned.account.count(Fate::NeedsAttention), 0, "{line}");
    }
    // hidden by a file of its name
    let root = root_with(OLD);
    put(root.path(), "lib/modprobe.d/local.conf", "alias eth0 3c59x\n");
    put(root.path(), "etc/modprobe.d/local.conf", "");
    assert_eq!(plan(root.path(), None).account.count(Fate::NeedsAttention), 0);
}

/// What the real modprobe does in a root of its own, chrooted.
fn chrooted(root: &Path, release: &str, request: &str) -> Vec<String> {
    let output = Command::new("chroot")
        .arg(root)
        .args(["/sbin/modprobe", "-S", release, "-q", "-D", "--", request])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .expect("chroot");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A line of `modprobe -D` with the values that count: of several, the last.
fn effective(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        let key = word.split('=').next();
        words.retain(|old| !word.contains('=') || old.split('=').next() != key);
        words.push(word);
    }
    words.join(" ")
}

/// Copies modprobe with its libraries, and the kernel's index, into a root.
fn furnish(root: &Path, kernel: &Path) {
    let modprobe = ["/usr/sbin/modprobe", "/sbin/modprobe"].into_iter().find(|path| Path::new(path).exists());
    let modprobe = std::fs::canonicalize(modprobe.expect("modprobe")).expect("its file");
    let libraries = Command::new("ldd").arg(&modprobe).output().expect("ldd");
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths {
        put_file(path.as_ref(), &root.join(&path[1..]));
    }
    put_file(&modprobe, &root.join("sbin/modprobe"));
    std::fs::create_dir_all(root.join("lib/modules")).expect("a folder");
    for release in std::fs::read_dir(kernel.join("lib/modules")).expect("a kernel") {
        let release = release.expect("it");
        let target = root.join("lib/modules").join(release.file_name());
        std::fs::create_dir_all(&target).expect("a folder");
        for file in std::fs::read_dir(release.path()).expect("its index") {
            let file = file.expect("a file");
            if file.file_type().expect("its type").is_file() {
                put_file(&file.path(), &target.join(file.file_name()));
            }
        }
    }
}

fn put_file(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("it is made");
    let from = std::fs::canonicalize(from).expect("a file");
    if std::fs::hard_link(&from, to).is_err() {
        std::fs::copy(&from, to).expect("a copy");
    }
}

#[test]
fn verify_says_what_a_chrooted_modprobe_does() {
    let Some(kernel) = real_kernel() else { return };
    if !kerneld_test_support::as_root() || !kerneld_test_support::have_program("ldd") {
        return;
    }
    let index = kerneld_migrate::module_index::Kernel::open(&kernel, None).expect("an index");
    let mut checked = 0;
    for (line, _) in AGAINST {
        for file in [
            "etc/modprobe.d/000.conf",
            "etc/modprobe.d/local.conf",
            "etc/modprobe.d/zzz.conf",
            "lib/modprobe.d/dist.conf",
            "run/modprobe.d/zzzz.conf",
        ] {
            let root = root_with(OLD);
            furnish(root.path(), &kernel);
            // the files are there first, and someone adds a line later
            plan(root.path(), Some(&kernel)).apply(&mut |_| {}).expect("applied");
            put(root.path(), file, &format!("{line}\n"));
            let report = verify(&plan(root.path(), Some(&kernel))).expect("modprobe");
            for row in &report.rows {
                let did = chrooted(root.path(), &index.release, &row.request);
                let last = did.last().cloned().unwrap_or_default();
                let module = last.rsplit('/').next().unwrap_or_default().replace(".ko", "").replace('-', "_");
                let shown = row.now.replace(" (built in)", "").replace("runs ", "").replace('-', "_");
                let same = row.now == "nothing" && last.is_empty()
                    || module.trim_end().starts_with(shown.trim_end())
                    || last.replace('-', "_").ends_with(shown.trim_end());
                assert!(same, "{file}: {line}: {} gives {did:?}, and verify says {}", row.request, row.now);
            }
            let differs = report.rows.iter().any(|row| row.verdict == Verdict::Different);
            let root_without = root_with(OLD);
            furnish(root_without.path(), &kernel);
            plan(root_without.path(), Some(&kernel)).apply(&mut |_| {}).expect("applied");
            let requests: Vec<&str> = report.rows.iter().map(|row| row.request.as_str()).collect();
            let effect = |root: &Path, request: &str| -> Vec<String> {
                chrooted(root, &index.release, request).iter().map(|line| effective(line)).collect()
            };
            let is_changed = requests
                .iter()
                .any(|request| effect(root.path(), request) != effect(root_without.path(), request));
            assert_eq!(differs, is_changed, "{file}: {line}\n{}", report.table());
            checked += 1;
        }
    }
    assert_eq!(checked, 50);
}

#[test]
fn what_meets_no_resistance_is_written() {
    let root = root_with(OLD);
    put(root.path(), "etc/modprobe.d/local.conf", "alias eth0 3c59x\n");
    let lines = live_lines(&plan(root.path(), None));
    assert!(lines.contains(&"alias parport_lowlevel parport_pc".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"alias eth0 tulip".to_owned()), "{lines:?}");
}
