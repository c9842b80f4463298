//! Every fixture: a complete account, apply and undo without a trace, and the real modprobe's verdict.

mod support;

use std::collections::BTreeMap;

use kerneld_migrate::account::Fate;
use kerneld_migrate::apply::{Outcome, check_accepted, undo};
use kerneld_migrate::root::Root;
use kerneld_migrate::verify::{Verdict, verify};
use support::{copy_of, fixtures, live_lines, open_places, plan, real_kernel, snapshot};

/// The files whose every line is input; of scripts and crontabs only some are.
const WHOLE: [&str; 5] =
    ["/etc/conf.modules", "/etc/modules.conf", "/etc/modules", "/etc/modutils/", "/etc/modules.d/"];

#[test]
fn there_are_at_least_ten() {
    assert!(fixtures().len() >= 10, "{:?}", fixtures());
}

#[test]
fn every_line_has_exactly_one_fate() {
    for fixture in fixtures() {
        let root = copy_of(&fixture);
        let plan = plan(root.path(), None);
        let mut seen: BTreeMap<(String, usize), usize> = BTreeMap::new();
        for line in plan.account.lines() {
            *seen.entry((line.file.to_string(), line.number)).or_default() += 1;
            assert!(line.fate.is_some(), "{fixture}: {}", line.place());
            assert!(
                !(line.why.is_empty() && line.fate != Some(Fate::Rewritten)),
                "{fixture}: {} has no reason",
                line.place()
            );
            assert!(
                line.fate != Some(Fate::Rewritten) || !line.output.is_empty(),
                "{fixture}: {}",
                line.place()
            );
        }
        assert!(seen.values().all(|count| *count == 1), "{fixture}: {seen:?}");
        for (path, _) in snapshot(root.path()) {
            let name = format!("/{}", path.display());
            let file = root.path().join(&path);
            if !WHOLE.iter().any(|whole| name == *whole || whole.ends_with('/') && name.starts_with(whole))
                || !file.symlink_metadata().unwrap().is_file()
            {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap();
            for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                let text = line.trim_ascii();
                if !text.is_empty() && !text.starts_with(b"#") {
                    let place = (name.clone(), index + 1);
                    assert!(seen.contains_key(&place), "{fixture}: {place:?} is not in the account");
                }
            }
        }
    }
}

#[test]
fn every_output_line_names_its_input() {
    for fixture in fixtures() {
        let root = copy_of(&fixture);
        let plan = plan(root.path(), None);
        for file in &plan.files {
            let old = std::fs::read_to_string(root.path().join(&file.path[1..])).unwrap_or_default();
            let is_new = |text: &str| !text.starts_with('#') && !old.lines().any(|old| old == text);
            for line in file.lines.iter().filter(|line| is_new(&line.text)) {
                assert!(!line.from.is_empty(), "{fixture}: {}: {}", file.path, line.text);
                for from in &line.from {
                    let origin = plan.account.line(*from);
                    let listed = origin.output.iter().any(|place| {
                        *place.file == file.path && file.lines[place.line - 1].text == line.text
                    });
                    assert!(listed, "{fixture}: {} does not know of {}", origin.place(), line.text);
                }
            }
        }
    }
}

#[test]
fn apply_is_idempotent_and_undo_leaves_no_trace() {
    for fixture in fixtures() {
        let root = copy_of(&fixture);
        let before = snapshot(root.path());
        let first = plan(root.path(), None);
        if !open_places(&first).is_empty() {
            assert!(check_accepted(&first.account, &[]).is_err(), "{fixture}");
        }
        check_accepted(&first.account, &open_places(&first)).expect(&fixture);
        support::check_commands(&first);
        assert!(matches!(first.apply(&mut |_| {}), Ok(Outcome::Changed(_))), "{fixture}");
        let applied = snapshot(root.path());
        assert_ne!(before, applied, "{fixture}");
        let second = plan(root.path(), None);
        assert_eq!(live_lines(&first), live_lines(&second), "{fixture}");
        assert_eq!(second.apply(&mut |_| {}).unwrap(), Outcome::Unchanged, "{fixture}");
        assert_eq!(applied, snapshot(root.path()), "{fixture}");
        undo(&Root::open(root.path()).unwrap(), false, &mut |_| {}).expect(&fixture);
        assert_eq!(before, snapshot(root.path()), "{fixture}");
    }
}

#[test]
fn the_real_modprobe_agrees() {
    let Some(kernel) = real_kernel() else { return };
    for fixture in fixtures() {
        let root = copy_of(&fixture);
        let planned = plan(root.path(), Some(&kernel));
        let report = verify(&planned).expect(&fixture);
        assert!(report.passed(), "{fixture}, planned:\n{}", report.table());
        planned.apply(&mut |_| {}).expect(&fixture);
        let applied = verify(&plan(root.path(), Some(&kernel))).expect(&fixture);
        assert!(applied.passed(), "{fixture}, applied:\n{}", applied.table());
        assert!(applied.rows.iter().any(|row| row.verdict != Verdict::Open), "{fixture}");
    }
}

#[test]
fn verify_notices_a_line_that_was_tampered_with() {
    let Some(kernel) = real_kernel() else { return };
    let late = "etc/modprobe.d/zz-kerneld-migrated.conf";
    for (old, new, complaint) in [
        ("alias netdev-slip0 slip", "alias netdev-slip0 nosuch", "nosuch is neither"),
        ("rd_size=8192", "rd_size=4096", "instead of"),
        ("alias ppp0 ppp_generic", "alias ppp0 dummy", "ppp_generic is not loaded"),
        ("alias slip0 slip", "frobnicate", ""),
    ] {
        let root = copy_of("debian-slink");
        plan(root.path(), Some(&kernel)).apply(&mut |_| {}).unwrap();
        let text = std::fs::read_to_string(root.path().join(late)).unwrap();
        assert!(text.contains(old), "{text}");
        std::fs::write(root.path().join(late), text.replace(old, new)).unwrap();
        let report = verify(&plan(root.path(), Some(&kernel))).unwrap();
        let told = report.rows.iter().any(|row| row.why.contains(complaint));
        assert!(!report.passed() && told, "{old} → {new}:\n{}", report.table());
    }
    let root = copy_of("debian-slink");
    plan(root.path(), Some(&kernel)).apply(&mut |_| {}).unwrap();
    std::fs::remove_file(root.path().join(late)).unwrap();
    assert!(!verify(&plan(root.path(), Some(&kernel))).unwrap().passed(), "a file that is missing");
}
