//! `--target busybox`: what busybox's modprobe cannot be told is asked, and it understands the rest as it is meant.

mod support;

use std::path::Path;
use std::process::Command;

use kerneld_migrate::plan::{Plan, Request, Target};
use support::{live_lines, open_places, root_with};

const OLD: &str = "alias eth0 tulip\noptions tulip options=1\nalias net-pf-5 off\npost-install lp /bin/true -x\n\
                   above loop brd\noptions 3c59x debug=\"a b\"\nalias sound-slot-0 snd-ens1371\n";

fn planned(root: &Path) -> Plan {
    let request = Request { root: root.to_owned(), target: Target::Busybox, ..Request::default() };
    Plan::make(&request).expect("a plan")
}

#[test]
fn only_aliases_and_options_are_written_and_the_rest_is_asked() {
    let root = root_with(OLD);
    let planned = planned(root.path());
    let open: Vec<String> = [3, 4, 5, 6].iter().map(|line| format!("/etc/conf.modules:{line}")).collect();
    assert_eq!(open_places(&planned), open);
    let lines = live_lines(&planned);
    assert!(lines.iter().all(|line| line.starts_with("alias ") || line.starts_with("options ")), "{lines:?}");
    assert!(lines.contains(&"alias eth0 tulip".to_owned()), "{lines:?}");
}

/// busybox itself, chrooted, with an index of its own: an alias of ours leads to its module and options.
#[test]
fn busybox_reads_what_is_written() {
    if !kerneld_test_support::as_root() || !kerneld_test_support::have_program("busybox") {
        return;
    }
    let root = root_with(OLD);
    planned(root.path()).apply(&mut |_| {}).expect("applied");
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let libraries = Command::new("ldd").arg(busybox.expect("busybox")).output().expect("ldd");
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = root.path().join(&library[1..]);
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("it is made");
        std::fs::copy(library, target).expect("a copy");
    }
    std::fs::copy(busybox.expect("busybox"), root.path().join("busybox")).expect("a copy");
    let release = Command::new("uname").arg("-r").output().expect("uname").stdout;
    let release = String::from_utf8(release).expect("UTF-8");
    let folder = root.path().join("lib/modules").join(release.trim());
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("modules.dep"), "kernel/tulip.ko:\n").expect("an index");
    for file in ["modules.alias", "modules.symbols", "modules.builtin"] {
        std::fs::write(folder.join(file), "").expect("an index");
    }
    let ask = |name: &str| {
        let output = Command::new("chroot")
            .arg(root.path())
            .args(["/busybox", "modprobe", "-D", name])
            .output()
            .expect("chroot");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for name in ["eth0", "netdev-eth0", "tulip"] {
        let answer = ask(name);
        assert!(answer.contains("tulip.ko") && answer.contains("options=1"), "{name}: {answer}");
    }
}
