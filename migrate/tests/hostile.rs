//! Hostile input: nothing is run, nothing outside the root is read, nothing panics.

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

use kerneld_migrate::account::Fate;
use support::{copy_of, live_lines, open_places, plan, real_kernel, root_with};

fn run(current: &Path, arguments: &[&str]) -> Output {
    assert_cmd::cargo::cargo_bin_cmd!("kerneld-migrate")
        .current_dir(current)
        .args(arguments)
        .output()
        .expect("it runs")
}

/// The hostile fixture with its canary at a place of our own, absolute and relative.
fn hostile(canary: &Path) -> tempfile::TempDir {
    let root = copy_of("hostile");
    for file in ["etc/conf.modules", "etc/rc.d/rc.modules"] {
        let path = root.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        let mut replaced = bytes.clone();
        replaced.push(b'\n');
        // once with the relative name that it has, once with the absolute one
        let text =
            kerneld_migrate::old::bytes::from_bytes(&bytes).replace("CANARY", canary.to_str().unwrap());
        replaced.extend(kerneld_migrate::old::bytes::to_bytes(&text));
        std::fs::write(&path, replaced).unwrap();
    }
    root
}

#[test]
fn no_command_runs_nothing_from_the_input() {
    let place = tempfile::tempdir().unwrap();
    let canary = place.path().join("canary");
    let root = hostile(&canary);
    let root_name = root.path().to_str().unwrap().to_owned();
    let output = place.path().join("output");
    let kernel = real_kernel();
    let mut runs: Vec<Vec<&str>> = vec![
        vec!["plan"],
        vec!["plan", "--format", "json"],
        vec!["plan", "--format", "html"],
        vec!["plan", "--target", "modutils"],
        vec!["plan", "--kernel", "6.1.0"],
        vec!["apply", "--output", output.to_str().unwrap()],
        vec!["apply"],
        vec!["explain", "$(touch CANARY)"],
        vec!["explain", "dummy"],
        vec!["undo"],
    ];
    let planned = plan(root.path(), None);
    let open = open_places(&planned);
    let mut accepting = vec!["apply", "--accept"];
    accepting.extend(open.iter().map(String::as_str));
    runs.push(accepting);
    if let Some(kernel) = &kernel {
        runs.push(vec!["verify", "--kernel-root", kernel.to_str().unwrap()]);
        runs.push(vec!["explain", "dummy", "--kernel-root", kernel.to_str().unwrap()]);
    }
    runs.push(vec!["undo"]);
    for mut arguments in runs {
        arguments.extend(["--root", &root_name]);
        let result = run(place.path(), &arguments);
        let complaint = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.code().is_some(), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("panicked"), "{arguments:?}: {complaint}");
        assert!(!canary.exists() && !place.path().join("CANARY").exists(), "{arguments:?} ran something");
        assert!(!root.path().join("CANARY").exists(), "{arguments:?} ran something");
    }
}

#[test]
fn foreign_content_stays_outside() {
    let root = copy_of("hostile");
    // /etc/outside.conf leads to ../../…/etc/passwd, /etc/modules to /etc/passwd: neither is below the root
    let plan = plan(root.path(), None);
    assert!(!plan.account.lines().iter().any(|line| line.text.contains("root:")));
    let include = plan.account.lines().iter().find(|line| line.text == "include /etc/outside.conf").unwrap();
    assert_eq!(include.fate, Some(Fate::NeedsAttention));
}

#[test]
fn writing_does_not_follow_links() {
    let outside = tempfile::tempdir().unwrap();
    let root = root_with("alias eth0 tulip\n");
    symlink(outside.path(), root.path().join("etc/modprobe.d")).unwrap();
    let planned = plan(root.path(), None);
    let result = planned.apply(&mut |_| {});
    assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none(), "{result:?}");

    let root = root_with("alias eth0 tulip\n");
    let target = outside.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    std::fs::create_dir(root.path().join("etc/modprobe.d")).unwrap();
    symlink(&target, root.path().join("etc/modprobe.d/zz-kerneld-migrated.conf")).unwrap();
    let error = plan(root.path(), None).apply(&mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    assert_eq!(std::fs::read_to_string(target).unwrap(), "precious");
}

/// Anybody may open a root directory and hold a lock on it, so that is not what `apply` waits for.
#[test]
fn a_lock_that_someone_else_holds_on_the_root_does_not_stop_us() {
    use nix::fcntl::{Flock, FlockArg};
    let root = root_with("alias eth0 tulip\n");
    let theirs = std::fs::File::open(root.path()).unwrap();
    let _held = Flock::lock(theirs, FlockArg::LockExclusiveNonblock).unwrap();
    let planned = plan(root.path(), None);
    assert!(planned.apply(&mut |_| {}).is_ok());
    let opened = kerneld_migrate::apply::open_old_system(root.path()).unwrap();
    assert!(kerneld_migrate::apply::undo(&opened, false, &mut |_| {}).is_ok());
}

/// A link that someone planted in or in place of the output directory leads nowhere.
#[test]
fn output_does_not_go_through_planted_links() {
    let outside = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let root = root_with("alias eth0 tulip\n");
    let output = |to: &Path| {
        run(
            place.path(),
            &["apply", "--root", root.path().to_str().unwrap(), "--output", to.to_str().unwrap()],
        )
    };
    let planted = place.path().join("planted");
    symlink(outside.path(), &planted).unwrap();
    let refused = output(&planted);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("symbolic link"));
    let honest = place.path().join("honest");
    std::fs::create_dir(&honest).unwrap();
    symlink(outside.path(), honest.join("etc")).unwrap();
    output(&honest);
    assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none());
}

#[test]
fn files_that_others_may_write_need_a_person() {
    let root = root_with("alias eth0 tulip\ninstall tulip /tmp/evil\n");
    let path = root.path().join("etc/conf.modules");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let planned = plan(root.path(), None);
    assert_eq!(open_places(&planned).len(), 2);
    assert!(live_lines(&planned).is_empty());

    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), Some(12345)).unwrap();
        let planned = plan(root.path(), None);
        assert!(live_lines(&planned).is_empty());
        assert!(
            planned.account.lines()[0].why[0].contains("user 12345"),
            "{:?}",
            planned.account.lines()[0].why
        );
    }
}

#[test]
fn lines_of_a_mebibyte_are_refused_one_by_one() {
    let mut text = b"alias eth0 tulip\nalias long ".to_vec();
    text.extend(std::iter::repeat_n(b'y', 1 << 20));
    text.extend(b"\n# ");
    text.extend(std::iter::repeat_n(b'z', 1 << 20));
    text.extend(b"\nalias eth1 3c59x\n");
    let root = root_with(text);
    let planned = plan(root.path(), None);
    assert_eq!(open_places(&planned), ["/etc/conf.modules:2", "/etc/conf.modules:3"]);
    assert!(live_lines(&planned).contains(&"alias eth1 3c59x".to_owned()));
    let shown = kerneld_migrate::report::text::report(&planned, true);
    assert!(shown.len() < 10_000, "a report of {} bytes", shown.len());
}

#[test]
fn latin_1_and_broken_utf_8_come_out_as_they_went_in() {
    let root = root_with(b"post-install lp echo \"gr\xfc\xdfe \xc3\x28 \xf0\x9f\x90\xa7\"\n");
    let planned = plan(root.path(), None);
    let all: Vec<u8> =
        planned.files.iter().flat_map(kerneld_migrate::new::output::OutputFile::content).collect();
    let wanted = b"echo \"gr\xfc\xdfe \xc3\x28 \xf0\x9f\x90\xa7\"";
    assert!(all.windows(wanted.len()).any(|window| window == wanted));
    // JSON and HTML are UTF-8 whatever comes in
    assert!(kerneld_migrate::report::json::document(&planned).to_string().contains("grüße"));
    assert!(kerneld_migrate::report::html::page(&planned).contains("grüße"));
}

#[test]
fn html_shows_markup_and_does_not_become_it() {
    let root = root_with("post-install lp echo '<script>alert(1)</script>' \"><img src=x>\n");
    let page = kerneld_migrate::report::html::page(&plan(root.path(), None));
    assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
}

#[test]
fn a_configuration_that_is_no_file_is_an_error() {
    for what in ["a directory", "a pipe"] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etc/conf.modules");
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        match what {
            "a directory" => std::fs::create_dir(&path).unwrap(),
            _ => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        }
        let result = run(root.path(), &["plan", "--root", root.path().to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&result.stderr);
        assert!(complaint.contains("/etc/conf.modules") && complaint.contains(what), "{complaint}");
    }
}

/// Random bytes, and random lines made of the language's own words, never end in a panic, and every line has a fate.
#[test]
fn random_input_is_survived() {
    let words: Vec<&str> = "alias options add if else elseif endif include install post-install above probeall eth0 \
        char-major-14 tulip off null ` $( \\ \" ' # = -o -k io=1 fs-* [ ] - /etc/conf.modules \u{fc} ; & > || && ( ) { } \
        then fi for in do done case esac ;; exit 2>&1 < modprobe insmod rmmod -a ! ${X} $X $(( )) <<E lp slip"
        .split(' ')
        .filter(|word| !word.is_empty())
        .chain(["\n", "\r", "\0", "\t", " ", "\npost-install tulip ", "\npre-install eth0 ", "\nremove tulip "])
        .collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..300 {
        let mut text = Vec::new();
        for _ in 0..random() % 200 {
            if round % 3 == 0 {
                text.push(random() as u8);
            } else {
                text.extend(words[random() as usize % words.len()].as_bytes());
                text.extend((random() % 2 == 0).then_some(b' '));
            }
        }
        let root = root_with(&text);
        let planned = plan(root.path(), None);
        assert!(planned.account.lines().iter().all(|line| line.fate.is_some()), "{text:?}");
        support::check_commands(&planned);
        for file in &planned.files {
            for line in &file.lines {
                assert!(!line.text.contains(['\n', '\0']), "{text:?}");
                assert!(!line.text.starts_with('#') || !line.text.ends_with('\\'), "{text:?}");
            }
        }
        kerneld_migrate::report::html::page(&planned);
        kerneld_migrate::report::text::report(&planned, true);
    }
}

/// Runs `plan` with a gigabyte of address space and 20 seconds; returns its exit status and what it complained about.
fn bounded(root: &Path, more: &[&str]) -> (Option<i32>, String) {
    let program = assert_cmd::cargo::cargo_bin!("kerneld-migrate");
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", "ulimit -v 1048576; exec timeout 20 \"$@\"", "sh"])
        .arg(program)
        .args(["plan", "--format", "json", "--root"])
        .arg(root)
        .args(more)
        .stdout(std::process::Stdio::null())
        .output()
        .expect("a shell");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn hostile_configurations_cost_little() {
    let doubling: String = (1..60).map(|n| format!("define V{n} $V{}$V{}\n", n - 1, n - 1)).collect();
    let used: String = (0..3000).map(|_| "alias x $V5$V5$V5$V5 $V6\n").collect();
    let wide = format!("define V0 {}\n{doubling}{used}alias eth0 $V59\n", "a".repeat(90));
    let many = "a b\n".repeat(4 << 20);
    let lists: String = (0..20_000).map(|n| format!("add probeall x m{n}\nalias y{n} x\n")).collect();
    for (name, text) in [("doubling", wide), ("many lines", many), ("lists", lists)] {
        let (status, complaint) = bounded(root_with(&text).path(), &[]);
        assert!(matches!(status, Some(0 | 2)), "{name}: {status:?} {complaint}");
        assert!(!complaint.contains("panicked"), "{name}: {complaint}");
    }
}

#[test]
fn files_that_include_each_other_twice_are_read_a_thousand_times_at_most() {
    let root = root_with("include /etc/inc0\n");
    for level in 0..18 {
        let next = format!("include /etc/inc{}\n", level + 1);
        std::fs::write(root.path().join(format!("etc/inc{level}")), next.repeat(2)).unwrap();
    }
    std::fs::write(root.path().join("etc/inc18"), "alias eth0 tulip\n").unwrap();
    let (status, complaint) = bounded(root.path(), &[]);
    assert_eq!(status, Some(0), "{complaint}");
    let planned = plan(root.path(), None);
    assert!(planned.account.lines().len() < 10_000);
    assert!(planned.account.open_questions().any(|line| line.why[0].contains("files are included in all")));
}

#[test]
fn an_index_that_is_no_file_is_refused_before_it_is_opened() {
    for what in ["a pipe", "a device", "a link to one", "a directory"] {
        let kernel = tempfile::tempdir().unwrap();
        let folder = kernel.path().join("lib/modules/9.9");
        std::fs::create_dir_all(&folder).unwrap();
        let index = folder.join("modules.dep");
        match what {
            "a pipe" => nix::unistd::mkfifo(&index, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "a directory" => std::fs::create_dir(&index).unwrap(),
            "a link to one" => symlink("/dev/zero", &index).unwrap(),
            _ if !nix::unistd::geteuid().is_root() => continue,
            _ => nix::sys::stat::mknod(
                &index,
                nix::sys::stat::SFlag::S_IFCHR,
                nix::sys::stat::Mode::S_IRUSR,
                nix::sys::stat::makedev(1, 5),
            )
            .unwrap(),
        }
        let root = root_with("alias eth0 tulip\n");
        let (status, complaint) = bounded(root.path(), &["--kernel-root", kernel.path().to_str().unwrap()]);
        assert_eq!(status, Some(2), "{what}: {complaint}");
        assert!(
            complaint.contains("modules.dep") || complaint.contains("no module index"),
            "{what}: {complaint}"
        );
    }
}

/// Pipes in every place that is looked at: none is waited for.
#[test]
fn pipes_anywhere_are_passed_over() {
    let root = root_with("alias eth0 tulip\n");
    for path in [
        "etc/cron.d/x",
        "etc/rc.d/rc.local",
        "etc/modprobe.d/x.conf",
        "etc/crontab",
        "etc/modutils/x",
        "etc/init.d/x",
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let (status, complaint) = bounded(root.path(), &[]);
    assert!(matches!(status, Some(0 | 2)), "{complaint}");
}
