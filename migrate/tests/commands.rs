//! The built program: its commands, options, formats and exit statuses.

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{copy_of, fixtures, real_kernel, root_with, top};

fn run(arguments: &[&str]) -> Output {
    assert_cmd::cargo::cargo_bin_cmd!("kerneld-migrate").args(arguments).output().expect("it runs")
}

fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn plan_is_the_default_and_writes_nothing() {
    let root = copy_of("redhat-5.2");
    let before = support::snapshot(root.path());
    let default = stdout(&["--root", name(root.path())]);
    assert_eq!(default, stdout(&["plan", "--root", name(root.path())]));
    assert_eq!(default, stdout(&["plan", name(root.path())]));
    assert!(default.contains("/etc/modprobe.d/zz-kerneld-migrated.conf") && default.contains("rewritten"));
    let full = stdout(&["plan", "--full", name(root.path())]);
    assert!(full.contains("+alias netdev-eth0 tulip"), "{full}");
    assert_eq!(before, support::snapshot(root.path()));
}

/// Questions come first, in groups, with advice and the words that go on without the lines; no row is wider than 100.
#[test]
fn what_needs_a_person_comes_first() {
    let root = root_with(
        "alias eth0 tulip\nfrobnicate\nalias eth1 `hostname`\nbroken\nalias a b\nalias b a\n\
         post-install tulip 'modprobe this-is-a-program-name-that-never-was-there-at-all and-that-goes-on and-on'\n",
    );
    let text = stdout(&["plan", "--root", name(root.path())]);
    assert!(text.starts_with("A person has to decide: "), "{text}");
    assert!(text.contains("--accept /etc/conf.modules:2 /etc/conf.modules:4\n"), "{text}");
    assert!(text.find("To be written:") > text.rfind("A person has to decide: "), "{text}");
    for row in text.lines().filter(|row| !row.contains("--accept")) {
        assert!(row.chars().count() <= 100, "{row}");
    }
    let page = stdout(&["plan", "--format", "html", "--root", name(root.path())]);
    assert!(page.find("class=\"question\"") < page.find("class=\"columns\""), "questions first");
}

/// What the user wrote above and behind a line stands above what it became, in both targets.
#[test]
fn comments_of_the_user_live_on() {
    let root = root_with("# unrelated\n\n# the card in the corner\nalias eth0 tulip # slow \\\n");
    for target in ["kmod", "modutils"] {
        let full = stdout(&["plan", "--full", "--target", target, "--root", name(root.path())]);
        let at = |text: &str| full.find(text).unwrap_or_else(|| panic!("{target}: {text}\n{full}"));
        assert!(at("+# the card in the corner\n") < at("+alias eth0 tulip\n"), "{full}");
        assert!(at("+# slow") < at("+alias eth0 tulip\n") && !full.contains("+# unrelated"), "{full}");
    }
}

/// The line that would mail an error every ten minutes is taken out of its crontab, and comes back by `undo`.
#[test]
fn an_old_sweep_is_taken_out_of_its_crontab() {
    let root = root_with("alias eth0 tulip\n");
    let crontab = root.path().join("etc/crontab");
    let old = "SHELL=/bin/sh\n*/10 * * * * root /sbin/rmmod -as\n7 4 * * * root /usr/bin/updatedb\n";
    std::fs::write(&crontab, old).unwrap();
    let before = support::snapshot(root.path());
    stdout(&["apply", "--root", name(root.path())]);
    let new = std::fs::read_to_string(&crontab).unwrap();
    assert!(new.starts_with("SHELL=/bin/sh\n# taken out by kerneld-migrate: */10 "), "{new}");
    assert!(new.ends_with("\n7 4 * * * root /usr/bin/updatedb\n"), "{new}");
    assert!(stdout(&["apply", "--root", name(root.path())]).contains("nothing to do"));
    stdout(&["undo", "--root", name(root.path())]);
    assert_eq!(before, support::snapshot(root.path()));
}

#[test]
fn kept_values_or_their_defaults_take_the_place_of_questions_to_persist() {
    let root = root_with("options parport_pc io=0x378 irq=?lp_irq:7\n");
    let full = stdout(&["plan", "--full", "--root", name(root.path())]);
    assert!(full.contains("+options parport_pc io=0x378 irq=7\n"), "{full}");
}

#[test]
fn json_has_the_documented_form() {
    let root = copy_of("mess");
    let document: Value =
        serde_json::from_str(&stdout(&["plan", "--format", "json", "--root", name(root.path())])).unwrap();
    let lines = document["lines"].as_array().unwrap();
    let mut counts = [0, 0, 0];
    for line in lines {
        assert!(
            line["file"].is_string()
                && line["line"].is_u64()
                && line["text"].is_string()
                && line["why"].is_string()
        );
        let fate = line["fate"].as_str().unwrap();
        counts[["rewritten", "dropped", "needs-attention"]
            .iter()
            .position(|word| *word == fate)
            .expect(fate)] += 1;
        for place in line["output"].as_array().unwrap() {
            let file = document["files"]
                .as_array()
                .unwrap()
                .iter()
                .find(|file| file["path"] == place["file"])
                .unwrap();
            let lines = file["content"].as_str().unwrap().lines().count() as u64;
            assert!((1..=lines).contains(&place["line"].as_u64().unwrap()), "{place}");
        }
    }
    let summary = &document["summary"];
    assert_eq!(summary["rewritten"], counts[0]);
    assert_eq!(summary["dropped"], counts[1]);
    assert_eq!(summary["needs_attention"], counts[2]);
}

#[test]
fn html_is_one_page_with_a_curve_for_each_link() {
    let root = copy_of("redhat-5.2");
    let document: Value =
        serde_json::from_str(&stdout(&["plan", "--format", "json", "--root", name(root.path())])).unwrap();
    let page = stdout(&["plan", "--format", "html", "--root", name(root.path())]);
    let links: usize = document["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["output"].as_array().unwrap().len())
        .sum();
    assert_eq!(page.matches("<path ").count(), links);
    for forbidden in ["<script", "http://", "https://", "src="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn apply_refuses_open_lines_and_names_them() {
    let root = root_with("alias eth0 tulip\nfrobnicate\n");
    let refused = run(&["apply", "--root", name(root.path())]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/etc/conf.modules:2"));
    assert!(!root.path().join("etc/modprobe.d").exists());

    let wrong = run(&["apply", "--root", name(root.path()), "--accept", "/etc/conf.modules:7"]);
    assert_eq!(wrong.status.code(), Some(2));

    let accepted = ["apply", "--root", name(root.path()), "--accept", "/etc/conf.modules:2"];
    assert!(stdout(&accepted).contains("written: /etc/modprobe.d/zz-kerneld-migrated.conf"));
    assert!(stdout(&accepted).contains("nothing to do"));
    assert!(stdout(&["undo", "--root", name(root.path())]).contains("put back"));
    assert!(stdout(&["undo", "--root", name(root.path())]).contains("nothing to undo"));
}

#[test]
fn output_goes_into_another_directory() {
    let (root, other) = (copy_of("redhat-4.2"), tempfile::tempdir().unwrap());
    let before = support::snapshot(root.path());
    stdout(&["apply", "--root", name(root.path()), "--output", name(other.path())]);
    assert!(other.path().join("etc/modprobe.d/zz-kerneld-migrated.conf").exists());
    assert_eq!(before, support::snapshot(root.path()));
}

#[test]
fn modutils_gets_its_own_language() {
    let root = copy_of("debian-slink");
    let at = |kernel: &str| -> String {
        let out = stdout(&[
            "plan",
            "--format",
            "json",
            "--target",
            "modutils",
            "--kernel",
            kernel,
            "--root",
            name(root.path()),
        ]);
        let document: Value = serde_json::from_str(&out).unwrap();
        let file = document["files"]
            .as_array()
            .unwrap()
            .iter()
            .find(|file| file["path"] == "/etc/modules.conf")
            .unwrap();
        file["content"].as_str().unwrap().to_owned()
    };
    let (old, new) = (at("2.2.19"), at("2.4.20"));
    assert!(
        old.contains("\nalias tty-ldisc-3 ppp\n") && new.contains("\nalias tty-ldisc-3 ppp_async\n"),
        "{new}"
    );
    assert!(new.contains("\nalias ppp0 ppp_generic\n") && new.contains("\nalias iso9660 isofs\n"), "{new}");
    let keywords = ["alias", "options", "post-install", "probeall", "below", "#", ""];
    for line in new.lines() {
        assert!(keywords.contains(&line.split(' ').next().unwrap()), "{line}");
    }
    assert!(!new.contains("kmod_unload_delay"));
}

#[test]
fn modutils_sweeps_from_roots_crontab() {
    let cases = [
        ("/sbin/kerneld", Some("0-59/5 * * * * /sbin/rmmod -a")),
        ("/sbin/kerneld delay=60", Some("0-59/1 * * * * /sbin/rmmod -a")),
        ("/sbin/kerneld delay=420", Some("0-59/6 * * * * /sbin/rmmod -a")),
        ("kerneld delay=0", None),
        ("daemon kerneld delay=30 keep &", None),
    ];
    for (start, wanted) in cases {
        let root = root_with("alias eth0 tulip\n");
        std::fs::create_dir_all(root.path().join("etc/rc.d")).unwrap();
        std::fs::write(root.path().join("etc/rc.d/rc.S"), format!("#!/bin/sh\n{start}\n")).unwrap();
        stdout(&["apply", "--target", "modutils", "--root", name(root.path())]);
        let crontab = std::fs::read_to_string(root.path().join("var/spool/cron/crontabs/root")).ok();
        assert_eq!(crontab.as_deref(), wanted.map(|line| format!("{line}\n")).as_deref(), "{start}");
        let sysctl = std::fs::read_to_string(root.path().join("etc/sysctl.conf")).unwrap();
        assert_eq!(sysctl, "kernel.modprobe = /sbin/modprobe\n");
        assert!(
            stdout(&["apply", "--target", "modutils", "--root", name(root.path())]).contains("nothing to do")
        );
    }
}

#[test]
fn conditions_are_decided_for_what_is_stated_only() {
    let root = root_with(
        "if -f /proc/bus/pci\nalias eth0 tulip\nelse\nalias eth0 3c59x\nendif\npath=/lib/modules/`uname -r`\n",
    );
    let lines = |more: &[&str]| {
        let mut arguments = vec!["plan", "--full", "--root", name(root.path())];
        arguments.extend(more);
        stdout(&arguments)
    };
    assert!(lines(&[]).contains("6 need attention"));
    let stated = lines(&["--kernel", "6.1.0", "--assume", "file:/proc/bus/pci"]);
    assert!(stated.contains("+alias eth0 tulip") && stated.contains("0 need attention"), "{stated}");
    assert!(stated.contains("decided now: /proc/bus/pci is there"), "{stated}");
    assert!(lines(&["--kernel", "6.1.0", "--assume", "no-file:/proc/bus/pci"]).contains("+alias eth0 3c59x"));
    assert_eq!(run(&["plan", "--assume", "rain"]).status.code(), Some(2));
}

#[test]
fn many_roots_give_a_table() {
    let roots: Vec<String> = fixtures()
        .iter()
        .map(|fixture| name(&top().join("tests/fixtures").join(fixture)).to_owned())
        .collect();
    let mut arguments = vec!["plan"];
    arguments.extend(roots.iter().map(String::as_str));
    let table = stdout(&arguments);
    let compact: String = table.chars().filter(|c| c.is_alphanumeric() || "-.".contains(*c)).collect();
    for fixture in fixtures() {
        assert!(compact.contains(&fixture) || table.contains(&fixture[..8]), "{fixture}: {table}");
    }
    assert!(table.lines().all(|row| row.chars().count() <= 100 || !row.starts_with(['│', '┌'])), "{table}");
    // the root with the most questions comes first, and what roots have in common is below
    assert!(table.find("mess") < table.find("debian-slink"), "{table}");
    assert!(table.contains(" root(s)\n  -> "), "{table}");
    let output = tempfile::tempdir().unwrap();
    arguments.extend(["--format", "json", "--output", name(output.path())]);
    let all: Value = serde_json::from_str(&stdout(&arguments)).unwrap();
    assert_eq!(all.as_array().unwrap().len(), roots.len());
    assert_eq!(std::fs::read_dir(output.path()).unwrap().count(), roots.len());

    arguments.push("/nonexistent");
    assert_eq!(run(&arguments).status.code(), Some(1), "one root fails, the others are shown");
}

#[test]
fn explain_shows_then_and_now() {
    let root = copy_of("redhat-6.1");
    let text = stdout(&["explain", "sound-slot-0", "--root", name(root.path())]);
    for wanted in ["insmod es1371", "post-install: /bin/aumix-minimal", "/etc/modules.conf:5", "snd-ens1371"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[test]
fn legacy_names_lead_to_modules_that_exist() {
    let Some(kernel) = real_kernel() else { return };
    let text = stdout(&["legacy-names", "--root", name(&kernel)]);
    for wanted in [
        "alias char-major-14 soundcore\n",
        "alias block-major-8 sd_mod\n",
        "alias tunl0 ipip\n",
        "install eth0 /bin/true\n",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    // today's kernels ask for this one themselves, and their own answer stays
    assert!(!text.contains(" net-pf-10 "), "{text}");
    let directory = tempfile::tempdir().unwrap();
    stdout(&["legacy-names", "--root", name(&kernel), "--output", name(directory.path())]);
    let index = kerneld_migrate::module_index::Kernel::open(&kernel, None).unwrap();
    let configuration = directory.path().join("etc/modprobe.d");
    let modprobe =
        kerneld_migrate::verify::modprobe::Modprobe { kernel: &index, configuration: &configuration };
    assert_eq!(modprobe.ask(&["-c"]).unwrap().complaints, "");
    for line in text.lines().filter_map(|line| line.strip_prefix("alias ")) {
        let old = line.split(' ').next().unwrap();
        assert!(!modprobe.steps(old).unwrap().is_empty(), "{old}");
    }
    // the names of the file system types that Linux 2.0 asked for find their modules, by the index or by us
    for name in ["iso9660", "vfat", "minix", "dos", "char-major-6", "ppp0", "serial", "ne2k-pci"] {
        assert!(!modprobe.steps(name).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn ambiguous_legacy_names_are_listed_and_not_guessed() {
    let root = tempfile::tempdir().unwrap();
    let index = root.path().join("lib/modules/9.9");
    std::fs::create_dir_all(&index).unwrap();
    std::fs::write(
        index.join("modules.dep"),
        "kernel/one.ko.xz:\nkernel/two.ko: kernel/one.ko.xz\nkernel/lp.ko:\n",
    )
    .unwrap();
    let aliases = "alias char-major-77-1 one\nalias char-major-77-2 two\nalias char-major-6-* lp\nalias char-major-6-9 one\n";
    std::fs::write(index.join("modules.alias"), aliases).unwrap();
    let text = stdout(&["legacy-names", "--root", name(root.path())]);
    assert!(text.contains("# ambiguous: char-major-77 could be one, two\n"), "{text}");
    assert!(text.contains("alias char-major-6 lp\n") && !text.contains("alias char-major-77"), "{text}");
}

#[test]
fn verify_wants_a_kernel_and_says_so() {
    let root = copy_of("redhat-4.2");
    let refused = run(&["verify", "--root", name(root.path())]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--kernel-root"));
    let Some(kernel) = real_kernel() else { return };
    assert!(
        stdout(&["verify", "--root", name(root.path()), "--kernel-root", name(&kernel)]).contains("0 differ")
    );
    let text =
        stdout(&["verify", "--format", "json", "--root", name(root.path()), "--kernel-root", name(&kernel)]);
    assert!(serde_json::from_str::<Value>(&text).unwrap()["rows"].is_array());
}
