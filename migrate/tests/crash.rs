//! A crash at any point of `apply` or `undo`: the process dies there, and the next command finds its way.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerneld_migrate::apply::{Outcome, undo};
use kerneld_migrate::plan::{Plan, Request, Target};
use kerneld_migrate::root::Root;
use support::{copy_of, snapshot};

fn plan(root: &Path, target: Target) -> Plan {
    Plan::make(&Request { root: root.to_owned(), target, ..Request::default() }).unwrap()
}

/// When set, this test program is the child that is to die: `COMMAND STEP TARGET ROOT`.
const CHILD: &str = "KERNELD_MIGRATE_TEST_CHILD";

/// Runs in a process of its own: does the command and aborts before the given step. Exits with 0 when there are
/// fewer steps.
#[test]
fn child() {
    let Ok(words) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = words.splitn(4, ' ').collect();
    let (command, step, root) = (words[0], words[1].parse::<usize>().unwrap(), Path::new(words[3]));
    let target = if words[2] == "Kmod" { Target::Kmod } else { Target::Modutils };
    let mut count = 0;
    let mut observer = |_: &str| {
        count += 1;
        if count == step {
            std::process::abort();
        }
    };
    match command {
        "apply" => drop(plan(root, target).apply(&mut observer).unwrap()),
        _ => drop(undo(&Root::open(root).unwrap(), false, &mut observer).unwrap()),
    }
}

/// Whether the child died at the step (and had not finished before).
fn dies(command: &str, step: usize, target: Target, root: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{command} {step} {target:?} {}", root.display()))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    !status.success()
}

/// The content of every file but our own records: what the system would see.
fn visible(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let ours = |path: &Path| {
        path.starts_with("var/lib/kerneld-migrate") || path.to_string_lossy().contains(".kerneld-migrate-new")
    };
    snapshot(root)
        .into_keys()
        .filter(|path| !ours(path) && root.join(path).symlink_metadata().unwrap().is_file())
        .map(|path| (path.clone(), std::fs::read(root.join(&path)).unwrap()))
        .collect()
}

const FIXTURE: &str = "redhat-5.2";

/// New files alone (kmod), and old files changed (modutils: sysctl.conf, root's crontab).
const TARGETS: [Target; 2] = [Target::Kmod, Target::Modutils];

#[test]
fn after_a_crash_apply_completes_and_undo_takes_back() {
    TARGETS.into_iter().for_each(crash_of_apply);
}

fn crash_of_apply(target: Target) {
    let finished = copy_of(FIXTURE);
    let old = visible(finished.path());
    plan(finished.path(), target).apply(&mut |_| {}).unwrap();
    let new = visible(finished.path());
    let mut steps = 0;
    for step in 1.. {
        let (forward, back) = (copy_of(FIXTURE), copy_of(FIXTURE));
        let before = snapshot(back.path());
        if !dies("apply", step, target, forward.path()) {
            break;
        }
        assert!(dies("apply", step, target, back.path()));
        steps += 1;

        // each file is the old one or the new one, never a part of one
        for (path, bytes) in visible(forward.path()) {
            assert!(
                old.get(&path) == Some(&bytes) || new.get(&path) == Some(&bytes),
                "step {step}: {}",
                path.display()
            );
        }
        // planning reads the old system whatever the state
        assert_eq!(
            support::live_lines(&plan(forward.path(), target)),
            support::live_lines(&plan(finished.path(), target))
        );

        plan(forward.path(), target).apply(&mut |_| {}).unwrap();
        assert_eq!(visible(forward.path()), new, "apply after a crash at step {step}");
        assert_eq!(plan(forward.path(), target).apply(&mut |_| {}).unwrap(), Outcome::Unchanged);
        undo(&Root::open(forward.path()).unwrap(), false, &mut |_| {}).unwrap();
        assert_eq!(visible(forward.path()), old, "undo after that");

        undo(&Root::open(back.path()).unwrap(), false, &mut |_| {}).unwrap();
        assert_eq!(visible(back.path()), old, "undo after a crash at step {step}");
        // only the empty parents of our folder may stay, when the crash was before anything was written down
        let left = snapshot(back.path())
            .into_keys()
            .filter(|path| !before.contains_key(path) && !path.ends_with("var/lib"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "step {step} leaves something behind");
    }
    assert!(steps > 10, "only {steps} steps were seen");
}

#[test]
fn after_a_crash_of_undo_undo_completes() {
    TARGETS.into_iter().for_each(crash_of_undo);
}

fn crash_of_undo(target: Target) {
    let fresh = copy_of(FIXTURE);
    let old = snapshot(fresh.path());
    let mut steps = 0;
    for step in 1.. {
        let root = copy_of(FIXTURE);
        plan(root.path(), target).apply(&mut |_| {}).unwrap();
        if !dies("undo", step, target, root.path()) {
            break;
        }
        steps += 1;
        undo(&Root::open(root.path()).unwrap(), false, &mut |_| {}).unwrap();
        assert!(snapshot(root.path()).keys().eq(old.keys()), "step {step}");
        assert_eq!(visible(root.path()), visible(fresh.path()), "step {step}");
    }
    assert!(steps > 3, "only {steps} steps were seen");
}

#[test]
fn two_at_once_are_kept_apart() {
    let root = copy_of(FIXTURE);
    let planned = plan(root.path(), Target::Kmod);
    let mut refused = None;
    planned
        .apply(&mut |step| {
            if step == "all is saved" {
                refused = Some(plan(root.path(), Target::Kmod).apply(&mut |_| {}));
            }
        })
        .unwrap();
    assert!(refused.unwrap().unwrap_err().to_string().contains("another kerneld-migrate is at work"));
}

#[test]
fn owner_and_mode_are_kept_and_changed_files_are_not_thrown_away() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let root = copy_of(FIXTURE);
    let crontab = root.path().join("var/spool/cron/root");
    std::fs::set_permissions(&crontab, std::fs::Permissions::from_mode(0o600)).unwrap();
    plan(root.path(), Target::Modutils).apply(&mut |_| {}).unwrap();
    let text = std::fs::read_to_string(&crontab).unwrap();
    assert_eq!(text, "30 4 * * * /usr/local/sbin/backup\n0-59/5 * * * * /sbin/rmmod -a\n");
    assert_eq!(crontab.metadata().unwrap().mode() & 0o7777, 0o600);

    std::fs::write(&crontab, "mine\n").unwrap();
    let opened = Root::open(root.path()).unwrap();
    assert!(undo(&opened, false, &mut |_| {}).unwrap_err().to_string().contains("--force"));
    assert!(
        plan(root.path(), Target::Modutils).apply(&mut |_| {}).unwrap_err().to_string().contains("--force")
    );
    assert_eq!(std::fs::read_to_string(&crontab).unwrap(), "mine\n");
    undo(&opened, true, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read_to_string(&crontab).unwrap(), "30 4 * * * /usr/local/sbin/backup\n");
}
