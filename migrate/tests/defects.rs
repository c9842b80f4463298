//! Inputs on which the historical converter (generate-modprobe.conf of module-init-tools 3.16) was shown to fail:
//! each is translated right here, or refused with a reason. docs/migration.md has the same table in words.

mod support;

use kerneld_migrate::account::Fate;
use kerneld_migrate::plan::Plan;
use kerneld_migrate::verify::modprobe::Modprobe;
use support::{live_lines, open_places, plan, real_kernel, root_with};

/// A row: its number, the input, lines that must be written, texts that must not be in any written line, and the
/// input lines that need a person (with a part of the reason).
struct Row {
    number: u32,
    input: &'static str,
    written: &'static [&'static str],
    never: &'static [&'static str],
    refused: &'static [(usize, &'static str)],
}

const fn row(
    number: u32,
    input: &'static str,
    written: &'static [&'static str],
    never: &'static [&'static str],
    refused: &'static [(usize, &'static str)],
) -> Row {
    Row { number, input, written, never, refused }
}

const ROWS: &[Row] = &[
    row(
        1,
        "alias sound-slot-0 es1371\npost-install sound-slot-0 /bin/aumix-minimal -f \"/etc/.aumix rc\" -L >/dev/null 2>&1 || :\nalias eth1 tulip",
        &[
            "install sound-slot-0 [ -d /sys/module/snd_ens1371 ] || { /sbin/modprobe snd-ens1371 && { /bin/aumix-minimal -f \"/etc/.aumix rc\" -L >/dev/null 2>&1 || :; }; }",
            "alias eth1 tulip",
        ],
        &[],
        &[],
    ),
    row(
        2,
        "post-install tulip logger \"tulip loaded on `hostname`\"",
        &[
            "install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && logger \"tulip loaded on `hostname`\"",
        ],
        &[],
        &[],
    ),
    row(
        3,
        "pre-install tulip echo $(touch T/pwned)",
        &["install tulip echo $(touch T/pwned) && /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS"],
        &[],
        &[],
    ),
    row(4, "install tulip \"; touch T/pwned3; \"", &[], &["pwned3"], &[(1, "never worked")]),
    row(5, "above bar x$(touch${IFS}T/pwned4)", &[], &["pwned4"], &[(1, "commands are never run")]),
    row(
        6,
        "probe q `touch${IFS}T/pwned6`\noptions m -o $(touch${IFS}T/pwned8)\npost-install tulip a\"; touch T/pwned5; echo \"b",
        &[],
        &["pwned"],
        &[(1, "never run"), (2, "never run"), (3, "never worked")],
    ),
    row(
        7,
        "post-install tulip echo $HOME \\$PATH $$ \"a\\tb\" 100%",
        &[
            "install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && echo $HOME \\\\$PATH $$ \"a\\\\tb\" 100%",
        ],
        &[],
        &[],
    ),
    row(
        8,
        "post-install tulip echo $HOME $1 $",
        &["install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && echo $HOME $1 $"],
        &[],
        &[],
    ),
    row(
        9,
        "post-install tulip ls GM/*.sh\nabove tulip *",
        &[],
        &["above.sh", "Cargo.toml"],
        &[(2, "`*` in a value")],
    ),
    row(
        10,
        "alias eth0 ne2k-pci\nalias eth0 3c59x\nalias eth1 eth0",
        &["alias netdev-eth0 3c59x", "alias eth0 3c59x", "alias netdev-eth1 3c59x", "alias eth1 3c59x"],
        &["ne2k-pci"],
        &[],
    ),
    row(
        11,
        "options tulip options=1\noptions tulip options=3 csr0=10\nadd options tulip max_interrupt_work=9",
        &["options tulip options=3 csr0=10 max_interrupt_work=9"],
        &["options=1"],
        &[],
    ),
    row(
        12,
        "if -f /etc/pcmcia/cfg\nalias eth0 pcnet_cs\nelse\nalias eth0 3c59x\nendif",
        &["alias eth0 3c59x"],
        &["pcnet_cs"],
        &[],
    ),
    row(
        13,
        "probeall adapters aic7xxx ncr53c8xx\nadd probeall adapters advansys",
        &[
            "install adapters r=1; for m in aic7xxx sym53c8xx advansys; do /sbin/modprobe $m && r=0; done; exit $r",
        ],
        &[],
        &[],
    ),
    row(
        14,
        "probeall usb off usb-uhci\nprobe x null",
        &[
            "install usb r=0; for m in uhci-hcd; do /sbin/modprobe $m && r=0; done; exit $r",
            "install x /bin/true",
        ],
        &["modprobe off", "modprobe null"],
        &[],
    ),
    row(15, "alias a b\nalias b off", &["install a /bin/true", "install b /bin/true"], &["alias a"], &[]),
    row(
        16,
        "alias eth0 eth1\nalias eth1 eth0",
        &[],
        &["eth"],
        &[(1, "back to themselves"), (2, "back to themselves")],
    ),
    row(
        17,
        "post-install c++mod echo plus\npost-install c--mod echo minus\npost-install snd-card-0 echo dash\npost-install snd_card_0 echo low\npost-install snd.card.0 echo dot",
        &[
            "install c++mod /sbin/modprobe --ignore-install c++mod $CMDLINE_OPTS && echo plus",
            "install c--mod /sbin/modprobe --ignore-install c--mod $CMDLINE_OPTS && echo minus",
            "install snd-card-0 /sbin/modprobe --ignore-install snd-card-0 $CMDLINE_OPTS && echo dash",
            "install snd.card.0 /sbin/modprobe --ignore-install snd.card.0 $CMDLINE_OPTS && echo dot",
        ],
        &["echo low"],
        &[(4, "one to kmod")],
    ),
    row(
        18,
        "post-install tulip echo one\npost-install tulip echo two",
        &["install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && echo one"],
        &["echo two"],
        &[],
    ),
    row(
        19,
        "alias eth0 a.c\nalias abc tulip",
        &["alias eth0 a.c", "alias abc tulip"],
        &["alias eth0 tulip"],
        &[],
    ),
    row(20, "options dummy0 -o dummy0", &[], &["-o"], &[]),
    row(21, "options -k 8139too debug=1", &["options 8139too debug=1"], &["-k"], &[]),
    row(
        22,
        "install bttv /sbin/insmod -k videodev; /sbin/insmod -k bttv card=3; insmod tuner radio_range=1\nremove bttv /sbin/rmmod bttv",
        &[
            "install bttv { /sbin/modprobe --ignore-install videodev; /sbin/modprobe --ignore-install bttv card=3; /sbin/modprobe --ignore-install tuner radio_range=1; }",
            "remove bttv /sbin/rmmod bttv",
        ],
        &["/sbin//sbin", " -k"],
        &[],
    ),
    row(
        23,
        "post-install tulip echo insmod done",
        &["install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && echo insmod done"],
        &[],
        &[],
    ),
    row(
        24,
        "alias net-pf-10 off # no ipv6\noptions tulip options=1 # the one\npost-install tulip echo up # msg",
        &[
            "install net-pf-10 /bin/true",
            "options tulip options=1",
            "install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && echo up",
        ],
        &["#"],
        &[],
    ),
    row(
        25,
        "options foo str='x  y'\ninstall bar   echo   'a    b'",
        &["options foo str=\"x  y\"", "install bar echo   'a    b'"],
        &[],
        &[],
    ),
    row(
        26,
        "pre-install tulip /sbin/check-irq\npre-remove tulip /etc/may-go",
        &[
            "install tulip { [ ! -x /sbin/check-irq ] || /sbin/check-irq; } && /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS",
            "remove tulip /etc/may-go && /sbin/modprobe -r --ignore-remove tulip",
        ],
        &[],
        &[],
    ),
    row(
        27,
        "alias sound-slot-0 es1371\npost-install sound-slot-0 /bin/aumix -L",
        &[
            "install sound-slot-0 [ -d /sys/module/snd_ens1371 ] || { /sbin/modprobe snd-ens1371 && { [ ! -x /bin/aumix ] || /bin/aumix -L; }; }",
        ],
        &["alias sound-slot-0"],
        &[],
    ),
    row(28, "alias sound off\npost-install sound echo hi", &["install sound /bin/true"], &["echo hi"], &[]),
    row(29, "below lp parport_pc", &["softdep lp pre: parport_pc"], &["--first-time"], &[]),
    row(30, "include /etc/local.conf", &[], &[], &[(1, "there is no /etc/local.conf")]),
    row(31, "alias eth0 tulip\nalias eth1 3c59x", &["alias eth0 tulip", "alias eth1 3c59x"], &[], &[]),
    row(
        32,
        "alias net-pf-4 off\r\nalias eth0 tulip\r\n",
        &["install net-pf-4 /bin/true", "alias eth0 tulip"],
        &["\r"],
        &[],
    ),
    row(
        33,
        "post-install tulip echo \"unbalanced\nalias eth0 tulip",
        &["alias eth0 tulip"],
        &["unbalanced"],
        &[(1, "a quote")],
    ),
    row(34, "alias eth1", &[], &["eth1"], &[(1, "no target")]),
    row(35, "path[misc]=/x\ndepfile=/y\ninsmod_opt=-s\ndefine A b\nkeep\nprune z", &[], &["/x", "/y"], &[]),
    row(
        36,
        "alias iso9660 isofs\nalias eth0 tulip\nalias binfmt-204 binfmt_aout\nalias char-major-10 off\nalias char-major-21 off\nalias md-personality-3 raid1",
        &[
            "alias fs-iso9660 isofs",
            "alias netdev-eth0 tulip",
            "alias char-major-21-* kerneld_migrated_off",
            "install char-major-21 /bin/true",
            "alias md-level-1 raid1",
        ],
        // the misc driver's minors keep their own modules
        &["binfmt", "char-major-10"],
        &[],
    ),
    row(
        37,
        "alias char-major-13 joydev ns558 analog",
        &["alias char-major-13-* joydev", "alias char-major-13 joydev"],
        &["ns558"],
        &[],
    ),
];

fn check(row: &Row, plan: &Plan) {
    let lines = live_lines(plan);
    for wanted in row.written {
        assert!(
            lines.iter().any(|line| line == wanted),
            "row {}: not written: {wanted}\n{lines:#?}",
            row.number
        );
    }
    for never in row.never {
        assert!(!lines.iter().any(|line| line.contains(never)), "row {}: {never} in\n{lines:#?}", row.number);
    }
    let refused: Vec<String> =
        row.refused.iter().map(|(line, _)| format!("/etc/conf.modules:{line}")).collect();
    assert_eq!(open_places(plan), refused, "row {}", row.number);
    for (number, reason) in row.refused {
        let line = plan.account.lines().iter().find(|line| line.number == *number).expect("a line");
        assert!(line.why.iter().any(|why| why.contains(reason)), "row {}: {:?}", row.number, line.why);
    }
}

#[test]
fn each_is_translated_right_or_refused_with_a_reason() {
    for row in ROWS {
        let root = root_with(row.input);
        let plan = plan(root.path(), None);
        check(row, &plan);
        support::check_commands(&plan);
    }
}

#[test]
fn nothing_was_run_and_nothing_was_lost() {
    for row in ROWS {
        let root = root_with(row.input);
        let before = support::snapshot(root.path());
        let plan = plan(root.path(), None);
        assert_eq!(before, support::snapshot(root.path()), "row {}", row.number);
        let lines = row.input.split('\n').filter(|line| !line.trim().is_empty()).count();
        assert_eq!(plan.account.lines().len(), lines, "row {}", row.number);
    }
}

/// modprobe reads what is written without a complaint.
#[test]
fn the_real_modprobe_reads_it_all() {
    let Some(kernel_root) = real_kernel() else { return };
    let kernel = kerneld_migrate::module_index::Kernel::open(&kernel_root, None).expect("an index");
    for row in ROWS {
        let root = root_with(row.input);
        let plan = plan(root.path(), None);
        let directory = tempfile::tempdir().expect("a temporary folder");
        kerneld_migrate::verify::lay_out(&plan, directory.path()).expect("files");
        let modprobe = Modprobe { kernel: &kernel, configuration: directory.path() };
        assert_eq!(modprobe.ask(&["-c"]).expect("modprobe").complaints, "", "row {}", row.number);
    }
}

/// Row 30: the file that is included is read, in its place, and stays as it is.
#[test]
fn an_included_file_is_read_and_kept() {
    let root = root_with("alias eth0 tulip\ninclude /etc/local.conf\nalias eth2 3c59x");
    std::fs::write(root.path().join("etc/local.conf"), "alias eth0 8139too\nalias eth2 e100\n")
        .expect("a file");
    let plan = plan(root.path(), None);
    let lines = live_lines(&plan);
    for wanted in ["alias eth0 8139too", "alias eth2 3c59x"] {
        assert!(lines.iter().any(|line| line == wanted), "{lines:#?}");
    }
    assert_eq!(
        std::fs::read_to_string(root.path().join("etc/local.conf")).unwrap(),
        "alias eth0 8139too\nalias eth2 e100\n"
    );
}

/// Row 38: a dump of `modprobe -c` is recognised; the one line of the user's own counts.
#[test]
fn a_dump_of_the_defaults_is_not_taken_for_wishes() {
    let root = support::copy_of("slackware-3.4");
    let plan = plan(root.path(), None);
    let lines = live_lines(&plan);
    assert!(lines.iter().any(|line| line == "alias eth0 3c59x"), "{lines:#?}");
    for default in ["install eth0", "options sb", "alias eth0 off", "isofs"] {
        assert!(!lines.iter().any(|line| line.starts_with(default)), "{default} in {lines:#?}");
    }
    assert!(plan.account.count(Fate::Dropped) > 100);
    assert_eq!(open_places(&plan), Vec::<String>::new());
}

/// Rows 39 and 40: the result goes where it belongs, nothing is opened before the input is read, and the program
/// needs no output argument.
#[test]
fn a_missing_input_leaves_the_output_alone() {
    let output = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(output.path().join("out5"), "KEEPME\n").expect("a file");
    let run = assert_cmd::cargo::cargo_bin_cmd!("kerneld-migrate")
        .args(["plan", "--root", "/nonexistent", "--output"])
        .arg(output.path().join("out5"))
        .assert()
        .failure()
        .code(2);
    assert!(run.get_output().stdout.is_empty());
    assert!(String::from_utf8_lossy(&run.get_output().stderr).contains("/nonexistent"));
    assert_eq!(std::fs::read_to_string(output.path().join("out5")).unwrap(), "KEEPME\n");
}
