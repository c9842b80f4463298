//! Start-up scripts: what is run when the system starts is taken over, whatever runs it.

mod support;

use support::{live_lines, open_places, plan, root_with};

/// The modules that a script has loaded at boot, and the numbers of its lines that need a person.
fn of_script(path: &str, script: &str) -> (Vec<String>, Vec<usize>) {
    let root = root_with("");
    let file = root.path().join(path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
    std::fs::write(&file, script).expect("a script");
    let planned = plan(root.path(), None);
    let open = open_places(&planned);
    let numbers =
        open.iter().map(|place| place.rsplit(':').next().expect("a number").parse().expect("a number"));
    (live_lines(&planned), numbers.collect())
}

#[test]
fn wrappers_run_what_follows_them() {
    let script = "action \"Loading the watchdog: \" /sbin/modprobe softdog\ninitlog -q -c \"/sbin/modprobe lp\"\n\
                  daemon +5 /sbin/modprobe tun\nstartproc -f /sbin/modprobe nbd\nloadproc modprobe loop\n\
                  echo modprobe dummy\n";
    let (loaded, open) = of_script("etc/rc.d/rc.local", script);
    assert_eq!(loaded, ["softdog", "lp", "tun", "nbd", "loop"]);
    assert_eq!(open, [0usize; 0]);
}

#[test]
fn a_service_is_started_and_not_stopped() {
    let script = "case \"$1\" in\nstart)\n  modprobe softdog\n  if grep -q tv /proc/cmdline; then\n    modprobe bttv\n  \
                  fi\n  ;;\nstop|restart)\n  modprobe dummy\n  ;;\nesac\n";
    assert_eq!(of_script("etc/init.d/watchdog", script), (vec!["softdog".to_owned()], vec![5]));
    let script = "start() {\n  modprobe softdog\n}\nstop() {\n  modprobe dummy\n}\n";
    assert_eq!(of_script("etc/init.d/watchdog", script), (vec!["softdog".to_owned()], Vec::new()));
}

#[test]
fn a_test_for_a_file_of_the_old_system_is_answered_there() {
    // root_with wrote /etc/conf.modules
    let script = "test -f /etc/conf.modules && modprobe lp\n[ -f /etc/nothing ] && modprobe dummy\n\
                  [ -f /proc/tv ] && modprobe bttv\n";
    assert_eq!(of_script("etc/rc.d/rc.local", script), (vec!["lp".to_owned()], vec![3]));
}

#[test]
fn the_distributions_own_scripts_need_nobody() {
    let script = "for alias in $aliases; do\n  modprobe $alias\ndone\nif [ -f /proc/bus/usb/devices ]; then\n  \
                  modprobe usbcore\nfi\n";
    assert_eq!(of_script("etc/rc.d/rc.sysinit", script), (Vec::new(), Vec::new()));
    assert_eq!(of_script("etc/rc.d/rc.local", script).1, [2, 5]);
}

#[test]
fn kernelds_start_up_script_is_no_start_of_its_own() {
    let script = "/etc/rc.d/init.d/kerneld stop\n/etc/rc.d/init.d/kerneld start\n";
    assert_eq!(of_script("etc/rc.d/rc.local", script), (Vec::new(), Vec::new()));
}
