//! A program under kdrun is as if it had been started directly.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use kerneld_test_support::have;
use nix::pty::openpty;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask};
use nix::unistd::{Pid, tcgetpgrp};

use crate::support::{Asker, Place, asleep, wake_ups};
use kerneld_test_support::compiler::CC;
use kerneld_test_support::daemon::text;

const SHELL: &str = "/bin/sh";

#[test]
fn exit_codes_and_deadly_signals_come_through() {
    let place = Place::new();
    for code in [0, 1, 42, 255] {
        let output = place.run(SHELL.as_ref(), &["-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code));
    }
    for name in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGSEGV] {
        let output = place.run(SHELL.as_ref(), &["-c", &format!("kill -{} $$", name as i32)]);
        assert_eq!(output.status.signal(), Some(name as i32));
    }
    place.all_supervisors_end();
}

#[test]
fn failures_of_starting_have_the_usual_codes() {
    let place = Place::new();
    let run = |program: &str| {
        let output = place.run(program.as_ref(), &[]);
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = run("/no/such/program");
    assert_eq!((code, &said[..]), (Some(127), "kdrun: /no/such/program: No such file or directory"));
    let (code, said) = run("/etc/passwd");
    assert_eq!((code, &said[..]), (Some(126), "kdrun: /etc/passwd: Permission denied"));
    let usage = place.kdrun().arg("--no-such-option").output().unwrap();
    assert_eq!(usage.status.code(), Some(125));
    place.all_supervisors_end();
}

#[test]
fn what_follows_the_program_is_the_programs() {
    let place = Place::new();
    let output = place.run(SHELL.as_ref(), &["-c", "echo $*", "sh", "--qid", "1", "-v", "--", "--help"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("--qid 1 -v -- --help".into(), String::new()));
}

/// What a process finds at its start: who it is, its descriptors, environment, folder, limits, and
/// that it has no child but the one that counts them.
const INVENTORY: &str = "\
    echo $PPID; cut -d' ' -f4-8 /proc/$$/stat; grep -E '^[GU]id|^Groups|^Cap' /proc/$$/status; \
    ls /proc/$$/fd; readlink /proc/$$/fd/0; env | grep -v ^_=; pwd; umask; ulimit -a; \
    wc -w < /proc/$$/task/$$/children";

/// What `command` prints after what `prepare` did in its process.
fn output_of(mut command: Command, prepare: fn()) -> String {
    let hook = move || {
        prepare();
        Ok(())
    };
    // SAFETY: each `prepare` makes only system calls.
    let output = unsafe { command.stdin(Stdio::null()).pre_exec(hook) }.output().unwrap();
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Directly means through `env`, which only executes, as kdrun must.
fn assert_same_output(words: &[&str], prepare: fn()) {
    let place = Place::new();
    let [direct, under] = [Command::new("env"), place.kdrun()].map(|mut command| {
        command.args(words);
        output_of(command, prepare)
    });
    assert_eq!(direct, under);
}

#[test]
fn a_program_finds_what_it_would_find_directly() {
    assert_same_output(&[SHELL, "-c", INVENTORY], || {});
}

#[test]
fn ignored_and_blocked_signals_stay_so() {
    let signals = ["grep", "-E", "^Sig[BIC]", "/proc/self/status"];
    assert_same_output(&signals, || {});
    assert_same_output(&signals, || {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGUSR1);
        blocked.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None).unwrap();
        for ignored in [Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGUSR2] {
            // SAFETY: ignoring a signal runs no handler.
            unsafe { signal(ignored, SigHandler::SigIgn) }.unwrap();
        }
    });
}

#[test]
fn closed_standard_descriptors_stay_closed() {
    let place = Place::new();
    let listed = |command: &str| {
        let script = format!("exec {command} ls /proc/self/fd 0<&- 2>&-");
        text(&Command::new(SHELL).args(["-c", &script]).output().unwrap().stdout)
    };
    let kdrun = place.path("kdrun");
    assert_eq!(listed(kdrun.to_str().unwrap()), listed("env"));
}

#[test]
fn pid_is_that_of_kdrun() {
    let place = Place::new();
    let mut kdrun = place.kdrun();
    let child = kdrun.arg(SHELL).args(["-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), pid);
}

/// The supervisor must not hold the pipe that others read to its end.
#[test]
fn output_ends_with_the_program_though_a_child_lives_on() {
    let place = Place::new();
    let script = "sleep 600 >/dev/null 2>&1 </dev/null & echo $!";
    let output = place.run(SHELL.as_ref(), &["-c", script]);
    let sleeper = Pid::from_raw(text(&output.stdout).parse().unwrap());
    assert_eq!(place.supervisors().len(), 1);
    kill(sleeper, Signal::SIGKILL).unwrap();
    place.all_supervisors_end();
}

/// Under a shell with job control: Ctrl-Z stops the program, `fg` goes on with it, Ctrl-\ ends it.
#[test]
fn the_terminal_and_the_shell_control_the_program() {
    let place = Place::new();
    let pty = openpty(None, None);
    if !have("pty", pty.is_ok(), "this place has no /dev/pts") {
        return;
    }
    let pty = pty.unwrap();
    let (mut keyboard, terminal) = (File::from(pty.master), pty.slave);
    let program = format!("{} {SHELL} -c 'echo ready; exec sleep 600'", place.path("kdrun").display());
    let script = format!("ulimit -c 0; set -m; {program}; echo stopped $?; fg; echo ended $?");
    let stdio = || Stdio::from(terminal.try_clone().unwrap());
    let mut command = Command::new(SHELL);
    command.args(["-c", &script]).stdin(stdio()).stdout(stdio()).stderr(stdio());
    // SAFETY: the hook makes only system calls.
    let mut shell = unsafe { command.pre_exec(own_terminal) }.spawn().unwrap();
    // The shell and its job alone hold the terminal now: should they end unasked, reading ends, too.
    drop((command, terminal));
    let mut seen = String::new();
    wait_until(&mut keyboard, &mut seen, "ready");
    keyboard.write_all(b"\x1a").unwrap();
    wait_until(&mut keyboard, &mut seen, &format!("stopped {}", 128 + Signal::SIGTSTP as i32));
    wait_until(&mut keyboard, &mut seen, "sleep 600");
    // The shell names the job before it gives it the terminal.
    let of_shell = Pid::from_raw(shell.id().cast_signed());
    while tcgetpgrp(&keyboard) == Ok(of_shell) {
        std::thread::sleep(Duration::from_millis(1));
    }
    keyboard.write_all(b"\x1c").unwrap();
    wait_until(&mut keyboard, &mut seen, &format!("ended {}", 128 + Signal::SIGQUIT as i32));
    assert!(shell.wait().unwrap().success());
    place.all_supervisors_end();
}

/// A session whose terminal is standard input, with the keys that whoever runs the tests may have had ignored.
fn own_terminal() -> std::io::Result<()> {
    nix::unistd::setsid()?;
    for key in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP] {
        // SAFETY: the default needs no handler.
        unsafe { signal(key, SigHandler::SigDfl) }?;
    }
    // SAFETY: TIOCSCTTY takes a number.
    nix::errno::Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
    Ok(())
}

/// Reads on in `seen` up to the word.
fn wait_until(terminal: &mut File, seen: &mut String, word: &str) {
    let mut buffer = [0; 256];
    while !seen.contains(word) {
        let got = terminal.read(&mut buffer).unwrap_or(0);
        assert_ne!(got, 0, "the terminal was closed before {word:?}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..got]));
    }
    *seen = seen.split_once(word).unwrap().1.to_owned();
}

#[test]
fn an_old_kernel_is_named_as_the_reason() {
    let place = Place::new();
    if !CC.works() {
        return;
    }
    let oldkernel = CC.compile("oldkernel.c", &[], place.folder.path());
    for age in ["none", "early"] {
        let mut command = Command::new(&oldkernel);
        let output =
            command.arg(age).arg(place.path("kdrun")).args([SHELL, "-c", "echo ran"]).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), &text(&output.stdout)[..]), (Some(125), ""), "{age}: {said}");
        assert!(said.contains("Linux 5.9 or newer is needed"), "{age}: {said}");
    }
    place.all_supervisors_end();
}

/// No processor time, not even a wake-up, while the program does other things.
#[test]
fn the_supervisor_sleeps_while_the_program_runs() {
    let place = Place::new();
    let Some(client) = place.plain_client() else { return };
    let mut asker = Asker::start(place.kdrun().arg(client));
    asker.ask("open");
    let supervisor = place.supervisors()[0];
    asleep(supervisor);
    let before = wake_ups(supervisor);
    for _ in 0..1_000 {
        asker.ask("ordinary");
    }
    assert_eq!(wake_ups(supervisor), before);
    asker.ask("open");
    assert_ne!(wake_ups(supervisor), before);
    assert!(asker.end().success());
}
