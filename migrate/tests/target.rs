//! What is written is decided by the target kernel's own facts: its modules' parameters, its aliases, what it has
//! built in.

mod support;

use kerneld_migrate::account::Fate;
use kerneld_migrate::plan::Plan;
use kerneld_migrate::verify::verify;
use support::{live_lines, open_places, plan, real_kernel, root_with};

fn planned(configuration: &str) -> Option<Plan> {
    let kernel = real_kernel()?;
    let root = root_with(configuration);
    let planned = plan(root.path(), Some(&kernel));
    let report = verify(&planned).expect("modprobe");
    assert!(report.passed(), "{configuration}\n{}", report.table());
    Some(planned)
}

fn fate(plan: &Plan, line: usize) -> (Fate, String) {
    let line = plan.account.lines().iter().find(|found| found.number == line).expect("a line");
    (line.fate.expect("a fate"), line.why.join("; "))
}

#[test]
fn parameters_that_todays_module_lacks_are_left_out_with_the_reason() {
    for (line, part) in [
        ("options ide-cd ignore=hdc", "ignore="),
        ("options opl3 io=0x388", "io="),
        ("options snd device_mode=0666", "device_mode="),
        ("options eepro100 full_duplex=1", "full_duplex="),
        ("options 8139too nosuch=1", "8139too has no such parameter"),
        ("options agpgart agp_try_unsupported=1", "agp_try_unsupported"),
    ] {
        let Some(planned) = planned(line) else { return };
        assert_eq!(live_lines(&planned), Vec::<String>::new(), "{line}");
        let (fate, why) = fate(&planned, 1);
        assert_eq!(fate, Fate::Dropped, "{line}: {why}");
        assert!(why.contains(part), "{line}: {why}");
        assert!(!why.contains("command line takes"), "{line}: {why}");
    }
}

#[test]
fn parameters_that_exist_are_written_in_their_names_of_today() {
    for (line, written) in [
        ("options tulip debug=3", "options tulip tulip_debug=3"),
        ("options snd-ens1371 snd_index=1 snd_id=card", "options snd-ens1371 index=1 id=card"),
        ("options parport_pc io=0x378 irq=7 dma=3", "options parport_pc io=0x378 irq=7 dma=3"),
        ("options ip_conntrack hashsize=4096", "options nf_conntrack hashsize=4096"),
        // one for each card then, one for all of them today
        ("options 3c59x debug=2,2", "options 3c59x debug=2"),
        ("options nf-conntrack hashsize=4096", "options nf_conntrack hashsize=4096"),
    ] {
        let Some(planned) = planned(line) else { return };
        assert!(live_lines(&planned).contains(&written.to_owned()), "{line}: {:?}", live_lines(&planned));
        assert_eq!(fate(&planned, 1).0, Fate::Rewritten, "{line}");
    }
}

#[test]
fn one_line_may_keep_some_words_and_lose_others() {
    let Some(planned) = planned("options 3c59x full_duplex=1 nosuch=2 debug=1") else { return };
    assert_eq!(live_lines(&planned), ["options 3c59x full_duplex=1 debug=1"]);
    let (fate, why) = fate(&planned, 1);
    assert!(fate == Fate::Rewritten && why.contains("nosuch= is left out"), "{why}");
}

#[test]
fn a_value_that_would_fail_the_load_needs_a_person() {
    let Some(planned) = planned("options softdog soft_margin=often\noptions softdog nowayout=1") else {
        return;
    };
    assert_eq!(open_places(&planned), Vec::<String>::new(), "the second line replaces the first");
    for line in ["options softdog soft_margin=often", "options lp reset=perhaps", "options 3c59x debug=1,2"] {
        let planned = self::planned(line).expect("the kernel was there");
        assert_eq!(open_places(&planned), ["/etc/conf.modules:1"], "{line}");
        assert!(live_lines(&planned).is_empty(), "{line}: {:?}", live_lines(&planned));
    }
}

#[test]
fn what_is_built_in_names_only_parameters_that_exist() {
    let Some(planned) = planned("options serial nr_uarts=8 nosuch=1") else { return };
    let (_, why) = fate(&planned, 1);
    assert!(why.contains("8250.nr_uarts=8") && !why.contains("8250.nosuch"), "{why}");
}

#[test]
fn parameters_in_commands_are_looked_at_too() {
    let Some(planned) = planned("install bttv /sbin/modprobe --ignore-install bttv card=3 nosuch=1") else {
        return;
    };
    let lines = live_lines(&planned);
    assert!(lines.iter().all(|line| !line.contains("nosuch")), "{lines:?}");
}

/// A tree whose modules are packed answers the same.
#[test]
fn packed_modules_are_read() {
    let Some(kernel) = real_kernel() else { return };
    let index = kerneld_migrate::module_index::Kernel::open(&kernel, None).expect("an index");
    let folder = index.base.join("lib/modules").join(&index.release);
    let dependencies = std::fs::read_to_string(folder.join("modules.dep")).expect("modules.dep");
    let softdog = dependencies
        .lines()
        .find_map(|line| line.split(':').next().filter(|path| path.contains("/softdog.ko")))
        .expect("softdog is a module");
    for (program, suffix) in [("xz", "xz"), ("gzip", "gz"), ("zstd", "zst")] {
        if !kerneld_test_support::have_program(program) {
            continue;
        }
        let copy = tempfile::tempdir().expect("a temporary folder");
        let other = copy.path().join("lib/modules/9.9");
        std::fs::create_dir_all(&other).expect("a folder");
        std::fs::write(other.join("modules.dep"), format!("softdog.ko.{suffix}:\n")).expect("an index");
        let packed = std::process::Command::new(program)
            .args(["-c", folder.join(softdog).to_str().expect("UTF-8")])
            .output()
            .expect("it packs");
        std::fs::write(other.join(format!("softdog.ko.{suffix}")), packed.stdout).expect("a module");
        let root = root_with("options softdog soft_margin=20 nosuch=1\n");
        let planned = plan(root.path(), Some(copy.path()));
        assert_eq!(live_lines(&planned), ["options softdog soft_margin=20"], "{suffix}");
    }
}

#[test]
fn names_that_the_kernel_answers_are_known() {
    for (line, written) in [
        ("alias my-cipher des", "alias my-cipher des_generic"),
        ("alias my-table ipt_MASQUERADE", "alias my-table xt_MASQUERADE"),
        ("alias my-timer char-major-116-33", "alias my-timer snd_timer"),
    ] {
        let Some(planned) = planned(line) else { return };
        let same = |found: &String| found.replace('_', "-") == written.replace('_', "-");
        assert!(live_lines(&planned).iter().any(same), "{line}: {:?}", live_lines(&planned));
    }
}

#[test]
fn aliases_that_the_kernel_has_itself_are_left_out_with_that_reason() {
    for line in ["alias net-pf-5 appletalk", "alias char-major-116-1 snd-seq", "alias tty-ldisc-3 ppp_async"]
    {
        let Some(planned) = planned(line) else { return };
        assert_eq!(live_lines(&planned), Vec::<String>::new(), "{line}");
        let (fate, why) = fate(&planned, 1);
        assert!(fate == Fate::Dropped && why.contains("the kernel itself answers"), "{line}: {why}");
    }
    // one that leads elsewhere is a wish
    let planned = planned("alias net-pf-5 ipip").expect("the kernel was there");
    assert_eq!(live_lines(&planned), ["alias net-pf-5 ipip"]);
}

/// Of every device number that today's kernel has finer aliases for, none is hidden by a pattern of ours.
#[test]
fn no_pattern_hides_finer_aliases_of_the_kernel() {
    let Some(kernel) = real_kernel() else { return };
    let index = kerneld_migrate::module_index::Kernel::open(&kernel, None).expect("an index");
    let text =
        std::fs::read_to_string(index.base.join("lib/modules").join(&index.release).join("modules.alias"))
            .expect("modules.alias");
    let finer: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("alias ")?.split_once(' '))
        .filter(|(name, _)| name.contains("-major-") && !name.ends_with('*'))
        .collect();
    assert!(finer.len() > 10, "{finer:?}");
    let mut majors: Vec<&str> =
        finer.iter().filter_map(|(name, _)| name.rsplit_once('-').map(|(major, _)| major)).collect();
    majors.dedup();
    let configuration: String = majors.iter().map(|major| format!("alias {major} tulip\n")).collect();
    let root = root_with(&configuration);
    let planned = plan(root.path(), Some(&kernel));
    let directory = tempfile::tempdir().expect("a temporary folder");
    kerneld_migrate::verify::lay_out(&planned, directory.path()).expect("files");
    let modprobe =
        kerneld_migrate::verify::modprobe::Modprobe { kernel: &index, configuration: directory.path() };
    for (name, module) in finer {
        let answer = modprobe.resolve(name).expect("modprobe");
        assert!(answer.lines.contains(&module.replace('-', "_")), "{name}: {answer:?}");
    }
}

#[test]
fn off_does_not_pretend_to_switch_off_what_is_built_in() {
    for (line, switch) in [
        ("alias net-pf-10 off", "ipv6.disable=1"),
        ("alias char-major-4 off", "8250.nr_uarts=0"),
        ("alias char-major-10-175 off", "agp=off"),
        ("alias net-pf-1 off", "no switch of its own"),
    ] {
        let Some(planned) = planned(line) else { return };
        let (fate, why) = fate(&planned, 1);
        assert!(fate == Fate::NeedsAttention && why.contains(switch), "{line}: {why}");
        assert_eq!(live_lines(&planned), Vec::<String>::new(), "{line}");
    }
    let planned = planned("alias net-pf-5 off").expect("the kernel was there");
    assert_eq!(open_places(&planned), Vec::<String>::new(), "appletalk is a module: no request loads it");
}

#[test]
fn a_lost_helper_never_keeps_a_module_from_being_loaded() {
    for (line, open, written) in [
        ("pre-install tulip /etc/init.d/cards start", true, ""),
        ("install tulip /etc/init.d/cards start", true, ""),
        ("pre-install pcmcia_core /sbin/cardmgr", true, ""),
        ("post-install soundcore /bin/aumix -L", true, ""),
        ("post-install parport_pc echo 7 > /proc/parport/0/irq", true, ""),
        (
            "post-install tulip /etc/init.d/cards start",
            false,
            "install tulip /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS && \
             { [ ! -x /etc/init.d/cards ] || /etc/init.d/cards start; }",
        ),
        (
            "pre-install tulip /sbin/mii-tool eth0",
            false,
            "install tulip { [ ! -x /sbin/mii-tool ] || /sbin/mii-tool eth0; } && \
             /sbin/modprobe --ignore-install tulip $CMDLINE_OPTS",
        ),
    ] {
        let Some(planned) = planned(line) else { return };
        let (fate, why) = fate(&planned, 1);
        assert_eq!(fate == Fate::NeedsAttention, open, "{line}: {why}");
        assert_eq!(live_lines(&planned).join("\n"), written, "{line}");
    }
}

#[test]
fn only_what_is_written_counts_as_rewritten() {
    let Some(kernel) = real_kernel() else { return };
    let root = root_with("options eepro100 full_duplex=1\nalias nothing 3c503\noptions sound dmabuf=1\n");
    std::fs::write(root.path().join("etc/modules"), "nvidia\n3c503\nlp\n").expect("a file");
    let planned = plan(root.path(), Some(&kernel));
    for line in planned.account.lines() {
        let live = line.output.iter().any(|place| place.live);
        assert_eq!(line.fate == Some(Fate::Rewritten), live, "{} {:?}", line.place(), line.why);
    }
    assert_eq!(live_lines(&planned), ["lp"]);
}
