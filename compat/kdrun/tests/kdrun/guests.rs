//! Old programs of other machines, under qemu-user: static ones of each machine that kerneld ran on, in both
//! protocols, each asks, releases, looks at the state, and asks twenty times at once.

use std::path::{Path, PathBuf};
use std::process::Output;

use kerneld_test_support::compiler::Compiler;
use kerneld_test_support::daemon::{Daemon, text};
use kerneld_test_support::have_program;

use crate::support::{NEW, Place};

/// A machine: its emulator, and Debian's cross compiler for it.
struct Machine {
    emulator: &'static str,
    compiler: Compiler,
    /// Where its shared libraries are, if its programs are not static.
    libraries: Option<&'static str>,
}

const fn machine(emulator: &'static str, name: &'static str, command: &'static str) -> Machine {
    Machine { emulator, compiler: Compiler::new(name, command, &["-static"]), libraries: None }
}

/// Little- and big-endian, 32 and 64 bits. A static alpha program ends by SIGSEGV in the emulator before its main,
/// whatever it is (`int main(void) { return 0; }`, qemu 7.2 and glibc 2.36), so alpha's are dynamic.
const MACHINES: [Machine; 8] = [
    machine("qemu-i386", "gcc-i686-linux-gnu", "i686-linux-gnu-gcc"),
    machine("qemu-arm", "gcc-arm-linux-gnueabi", "arm-linux-gnueabi-gcc"),
    machine("qemu-m68k", "gcc-m68k-linux-gnu", "m68k-linux-gnu-gcc"),
    machine("qemu-mips", "gcc-mips-linux-gnu", "mips-linux-gnu-gcc"),
    machine("qemu-ppc", "gcc-powerpc-linux-gnu", "powerpc-linux-gnu-gcc"),
    machine("qemu-s390x", "gcc-s390x-linux-gnu", "s390x-linux-gnu-gcc"),
    Machine {
        emulator: "qemu-sparc32plus",
        compiler: Compiler::new(
            "gcc-multilib-sparc64-linux-gnu",
            "sparc64-linux-gnu-gcc",
            &["-m32", "-static"],
        ),
        libraries: None,
    },
    Machine {
        emulator: "qemu-alpha",
        compiler: Compiler::new("gcc-alpha-linux-gnu", "alpha-linux-gnu-gcc", &[]),
        libraries: Some("/usr/alpha-linux-gnu"),
    },
];

impl Machine {
    /// Its client in a protocol; none, with a loud word, without the emulator or the compiler.
    fn client(&self, place: &Place, protocol: &[&str]) -> Option<PathBuf> {
        have_program(self.emulator).then(|| place.client(&self.compiler, protocol)).flatten()
    }

    fn run(&self, place: &Place, client: &Path, words: &[&str]) -> Output {
        let mut kdrun = place.kdrun();
        kdrun.arg(self.emulator);
        if let Some(libraries) = self.libraries {
            kdrun.args(["-L", libraries]);
        }
        kdrun.arg(client).args(words).output().expect("kdrun starts")
    }
}

/// What a client says and exits with, of each machine in both protocols.
fn each(words: &[&str], check: impl Fn(&Output) -> bool) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, 0o600);
    for machine in MACHINES {
        for protocol in [&[][..], &[NEW]] {
            let Some(client) = machine.client(&place, protocol) else { continue };
            let output = machine.run(&place, &client, words);
            assert!(check(&output), "{} {protocol:?} {words:?}: {output:?}", machine.emulator);
        }
    }
    place.all_supervisors_end();
}

#[test]
fn guests_ask_and_get_the_helpers_status() {
    each(&["ask", "2", "exit7"], |output| output.status.code() == Some(7));
}

#[test]
fn guests_release() {
    each(&["ask", "3", "exit5"], |output| output.status.code() == Some(5));
}

#[test]
fn guests_see_the_state() {
    each(&["ask", "255", ""], |output| {
        output.status.success() && text(&output.stdout).contains("no jobs waiting")
    });
}

#[test]
fn guests_ask_twenty_times_at_once() {
    each(&["fork", "20", "2", "exit0"], |output| output.status.success() && output.stderr.is_empty());
}

/// The emulator of sparc64 takes the pointer that its `ipc(MSGRCV)` is given for another one, so that no program of
/// that machine receives a message (qemu 7.2). Its requests are read and answered all the same.
#[test]
fn the_emulator_of_sparc64_receives_no_messages() {
    const SPARC64: Machine =
        machine("qemu-sparc64", "gcc-multilib-sparc64-linux-gnu", "sparc64-linux-gnu-gcc");
    let place = Place::new();
    let daemon = Daemon::start(&place, 0o600);
    for protocol in [&[][..], &[NEW]] {
        let Some(client) = SPARC64.client(&place, protocol) else { continue };
        let output = SPARC64.run(&place, &client, &["ask", "2", "exit7"]);
        assert_eq!(text(&output.stderr), "msgrcv: Bad address", "the emulator was mended: expect answers");
    }
    drop(daemon);
}
