//! Meaning kept, not spelling: cases beyond the historical converter's, each with what has to be written.

mod support;

use std::os::unix::fs::symlink;

use support::{live_lines, open_places, plan, real_kernel, root_with};

/// Checks what is written for a configuration (by the table of modules) and which lines need a person.
fn check(input: &str, written: &[&str], open: &[usize]) {
    let root = root_with(input);
    let planned = plan(root.path(), None);
    support::check_commands(&planned);
    assert_eq!(live_lines(&planned), written, "{input}");
    let open: Vec<String> = open.iter().map(|line| format!("/etc/conf.modules:{line}")).collect();
    assert_eq!(open_places(&planned), open, "{input}");
}

/// The reason given for the line of this number.
fn reason(input: &str, number: usize) -> String {
    let root = root_with(input);
    let planned = plan(root.path(), None);
    let line = planned.account.lines().iter().find(|line| line.number == number).expect("a line");
    line.why.join("; ")
}

#[test]
fn a_name_of_the_configuration_goes_before_a_form_of_ours() {
    check(
        "alias iso9660 isofs\nalias fs-iso9660 minix",
        &["alias iso9660 isofs", "alias fs-iso9660 minix"],
        &[],
    );
}

#[test]
fn a_major_beside_its_minors_is_asked_for_after_them() {
    check(
        "alias char-major-81 bttv\nalias char-major-81-1 tuner",
        &["alias char-major-81 bttv", "alias char-major-81-1 tuner"],
        &[],
    );
    check("alias char-major-10 off\nalias char-major-10-144 nvram", &["alias char-major-10-144 nvram"], &[]);
}

#[test]
fn what_is_no_module_name_reaches_no_shell() {
    check(
        "probeall x \"a; touch CANARY\" tulip",
        &["install x r=1; for m in tulip; do /sbin/modprobe $m && r=0; done; exit $r"],
        &[],
    );
    check("below tulip 'a b'\nabove tulip \"$(x)\"", &[], &[2]);
    check("alias eth0 \"a b\"", &[], &[1]);
    check("post-install tulip modprobe 'a;b'", &[], &[1]);
    check(
        "probe x* tulip",
        &["install kerneld_migrated_x_ /sbin/modprobe tulip", "alias x[*] kerneld_migrated_x_"],
        &[],
    );
}

#[test]
fn a_module_that_is_off_is_off_as_a_name_only() {
    // as a dependency of another module it was loaded all the same
    check(
        "alias vfat off\nalias tulip off",
        &[
            "install fs-vfat /bin/false",
            "install kerneld_migrated_off /bin/true",
            "alias vfat kerneld_migrated_off",
            "alias tulip kerneld_migrated_off",
        ],
        &[],
    );
}

#[test]
fn built_in_modules_take_options_from_the_command_line() {
    let input = "options serial share_irqs=1\nalias char-major-4 serial";
    check(input, &["alias char-major-4-* 8250", "alias char-major-4 8250"], &[]);
    assert!(reason(input, 1).contains("8250.share_irqs=1"), "{}", reason(input, 1));
    check("post-install serial /etc/init.d/setserial modload", &[], &[1]);
}

#[test]
fn parameters_follow_their_modules() {
    check(
        "options tulip debug=3\noptions ip_masq_ftp ports=21,2121\noptions eepro100 debug=1 full_duplex=1",
        &[
            "alias ip_masq_ftp nf_nat_ftp",
            "alias eepro100 e100",
            "options tulip tulip_debug=3",
            "options nf_conntrack_ftp ports=21,2121",
            "options e100 debug=1",
        ],
        &[],
    );
}

#[test]
fn the_other_name_of_a_default_belongs_to_no_line() {
    check(
        "add options dummy0 numdummies=2",
        &[
            "alias netdev-dummy0 dummy",
            "alias dummy0 dummy",
            "options netdev-dummy0 numdummies=2",
            "options dummy0 numdummies=2",
        ],
        &[],
    );
    assert!(!reason("alias dummy0 dummy", 1).contains("-o"), "{}", reason("alias dummy0 dummy", 1));
    assert!(reason("options dummy0 -o dummy0", 1).contains("-o dummy0"));
}

#[test]
fn a_format_by_its_bytes_is_still_asked_for() {
    check("alias binfmt-1234 lp", &["alias binfmt-1234 lp"], &[]);
    assert!(reason("alias binfmt-1234 lp", 1).contains("binfmt_misc"));
}

#[test]
fn one_module_twice_is_for_a_person() {
    check(
        "alias eth0 dummy\nalias eth1 dummy\noptions eth0 -o dummy0 numdummies=1\noptions eth1 -o dummy1 numdummies=2",
        &["alias netdev-eth0 dummy", "alias eth0 dummy", "alias netdev-eth1 dummy", "alias eth1 dummy"],
        &[3, 4],
    );
}

#[test]
fn above_below_and_probe_know_off() {
    check("above tulip ppa\nalias ppa off", &["install ppa /bin/true"], &[1]);
    check(
        "probe x tulip off e100\nalias y x",
        &["install x /sbin/modprobe tulip || /bin/true", "alias y x"],
        &[],
    );
    let gone = "below tulip 3c503 lp";
    check(gone, &["softdep tulip pre: lp"], &[]);
    assert!(reason(gone, 1).contains("without 3c503"), "{}", reason(gone, 1));
}

#[test]
fn commands_of_all_names_on_the_way_run_in_order() {
    check(
        "alias a b\nalias b tulip\npre-install a one\npre-install b two || :\npost-install a three &\npre-install tulip four",
        &[
            "install a [ -d /sys/module/tulip ] || { one && { two || :; } && /sbin/modprobe tulip && ( three & ); }",
            "install b [ -d /sys/module/tulip ] || { { two || :; } && /sbin/modprobe tulip; }",
            "install tulip four && /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS",
        ],
        &[],
    );
}

#[test]
fn options_of_an_alias_with_commands_go_to_the_load() {
    check(
        "alias a tulip\noptions a options=1 debug=2\npost-install a echo up",
        &[
            "install a [ -d /sys/module/tulip ] || { /sbin/modprobe tulip options=1 tulip_debug=2 && echo up; }",
        ],
        &[],
    );
}

#[test]
fn defined_variables_are_written_out_or_refused() {
    check("define NIC tulip\nalias eth0 $NIC", &["alias netdev-eth0 tulip", "alias eth0 tulip"], &[]);
    check("define X /tmp\npost-install tulip ls $X", &[], &[2]);
}

#[test]
fn a_words_without_an_equals_sign_ends_the_line() {
    let input = "options tulip options=1 stray csr0=2";
    check(input, &["options tulip options=1"], &[]);
    assert!(reason(input, 1).contains("stray csr0=2"), "{}", reason(input, 1));
}

#[test]
fn the_kernels_own_softdeps_are_kept_and_respected() {
    let Some(kernel) = real_kernel() else { return };
    let root = root_with("above ext4 loop\n");
    assert_eq!(live_lines(&plan(root.path(), Some(&kernel))), ["softdep ext4 pre: crypto-crc32c post: loop"]);
    let root = root_with("post-install ext4 echo up\n");
    let planned = plan(root.path(), Some(&kernel));
    assert_eq!(live_lines(&planned), Vec::<String>::new());
    assert_eq!(open_places(&planned), ["/etc/conf.modules:1"]);
}

#[test]
fn a_script_is_counted_once_however_often_it_is_linked_to() {
    let root = root_with("");
    let etc = root.path().join("etc");
    std::fs::create_dir_all(etc.join("rc.d/init.d")).unwrap();
    std::fs::write(etc.join("rc.d/rc.local"), "modprobe tulip\n").unwrap();
    std::fs::write(etc.join("rc.d/init.d/kerneld"), "daemon kerneld delay=90\n").unwrap();
    symlink("rc.d/rc.local", etc.join("rc.local")).unwrap();
    symlink("/etc/rc.d/init.d", etc.join("init.d")).unwrap();
    let planned = plan(root.path(), None);
    assert_eq!(planned.account.lines().len(), 2, "{:#?}", planned.account.lines());
    assert_eq!((planned.found.starts.len(), planned.found.loaded.len()), (1, 1));
}

#[test]
fn starts_of_kerneld_are_found_in_all_their_forms() {
    for (path, text, delay, keep) in [
        ("etc/rc.d/rc.S", "if [ -x /sbin/kerneld ]; then /sbin/kerneld; fi", None, false),
        ("etc/rc.d/rc.S", "[ -x /sbin/kerneld ] && /sbin/kerneld delay=30 keep &", Some(30), true),
        ("etc/rc.d/rc.sysinit", "kerneld keep", None, true),
        ("etc/rc.d/init.d/kerneld", "case $1 in\nstart) daemon kerneld delay=0 ;;\nesac", Some(0), false),
        (
            "etc/init.d/kerneld",
            "start-stop-daemon --start --exec /sbin/kerneld -- delay=120",
            Some(120),
            false,
        ),
        ("etc/modules", "auto", None, false),
        ("etc/rc.config", "START_KERNELD=\"yes\"", None, false),
        ("etc/inittab", "kd:2345:respawn:/sbin/kerneld delay=45", Some(45), false),
    ] {
        let root = root_with("");
        let file = root.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        let planned = plan(root.path(), None);
        let start = planned.found.start().unwrap_or_else(|| panic!("{path}: {text}"));
        assert_eq!((start.delay, start.keep), (delay, keep), "{path}: {text}");
        assert_eq!(open_places(&planned), Vec::<String>::new(), "{path}: {text}");
    }
    for (path, text) in [
        ("etc/rc.d/rc.0", "killall kerneld"),
        ("etc/init.d/kerneld", "start-stop-daemon --stop --exec /sbin/kerneld"),
        ("etc/rc.d/rc.S", "echo Starting kerneld"),
    ] {
        let root = root_with("");
        let file = root.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        assert!(plan(root.path(), None).found.start().is_none(), "{path}: {text}");
    }
}

#[test]
fn modules_loaded_by_hand_are_loaded_at_boot() {
    let root = root_with("alias net tulip\noptions tulip options=1\n");
    let folder = root.path().join("etc/rc.d");
    std::fs::create_dir_all(&folder).unwrap();
    let script = "#!/bin/sh\n[ -x /sbin/modprobe ] && /sbin/modprobe net debug=2\n/sbin/insmod -k lp; modprobe 3c503\n\
                  if true; then\nmodprobe slip\nfi\ngrep -q x /proc/cpuinfo && modprobe plip\nmodprobe $CARD\n\
                  /sbin/rmmod ppa\n";
    std::fs::write(folder.join("rc.modules"), script).unwrap();
    let planned = plan(root.path(), None);
    assert_eq!(
        live_lines(&planned),
        ["alias net tulip", "options tulip options=1", "options tulip tulip_debug=2", "tulip", "lp"]
    );
    let open: Vec<String> = [5, 7, 8].iter().map(|line| format!("/etc/rc.d/rc.modules:{line}")).collect();
    assert_eq!(open_places(&planned), open);
}

#[test]
fn a_branch_that_is_not_taken_is_not_judged() {
    check(
        "if a == b\nfrobnicate\nalias eth0\nelse\nalias eth0 tulip\nendif",
        &["alias netdev-eth0 tulip", "alias eth0 tulip"],
        &[],
    );
}

#[test]
fn a_forbidden_kerneld_is_for_a_person() {
    for (path, text) in [("etc/modules", "noauto\n"), ("etc/rc.config", "START_KERNELD=no\n")] {
        let root = root_with("");
        std::fs::write(root.path().join(path), text).unwrap();
        std::fs::create_dir_all(root.path().join("etc/init.d")).unwrap();
        std::fs::write(root.path().join("etc/init.d/kerneld"), "/sbin/kerneld\n").unwrap();
        let planned = plan(root.path(), None);
        assert!(planned.found.start().is_none() && planned.files.is_empty());
        assert_eq!(open_places(&planned), [format!("/{path}:1")]);
    }
}

#[test]
fn what_kerneld_remembered_is_put_in_where_it_is_there() {
    let configuration = "options softdog soft_margin=?margin:60\n";
    check(configuration, &["options softdog soft_margin=60"], &[]);
    let root = root_with(configuration);
    let folder = root.path().join("lib/modules/2.0.36");
    std::fs::create_dir_all(&folder).unwrap();
    let store = kerneld_persist::Store::new(folder.join("persist.gdbm"));
    let key = kerneld_persist::Key::new(b"margin").unwrap();
    let change = kerneld_persist::Change::Set(key, kerneld_persist::ints::parse("45").unwrap());
    store.apply(&[change]).unwrap();
    let planned = plan(root.path(), None);
    assert!(
        live_lines(&planned).contains(&"options softdog soft_margin=45".to_owned()),
        "{:?}",
        live_lines(&planned)
    );
    assert_eq!(open_places(&planned), Vec::<String>::new());
}

#[test]
fn switching_a_built_in_part_off_by_a_parameter_needs_a_person() {
    check("options ipv6 disable=1", &[], &[1]);
    assert!(reason("options ipv6 disable=1", 1).contains("ipv6.disable=1"));
    check("options ipv6 disable=0", &[], &[]);
}
