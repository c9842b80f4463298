//! The filter: which system calls are the old kernel's business. Pure; the kernel runs it.
//!
//! Classic BPF over `struct seccomp_data` (seccomp(2)). A call that does not match is allowed
//! inside the kernel; since Linux 5.11 the kernel even remembers for each system call number that
//! the filter always allows it, so that only `msgget` and `ipc` run these instructions.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, seccomp_data, sock_filter,
};
use std::mem::offset_of;

use kerneld_protocol::queue::IPC_KERNELD_OLD;

/// How one kind of programs makes the call.
#[derive(Clone, Copy)]
struct Abi {
    /// `AUDIT_ARCH_…` (`include/uapi/linux/audit.h`): the ELF machine, with bit 31 for 64 bits and bit 30 for
    /// little-endian.
    arch: u32,
    /// The number of `msgget`, a call of its own since Linux 5.1 on machines that have `ipc`.
    msgget: u32,
    /// The number of `ipc`: all that a program of the 1990s has.
    ipc: Option<u32>,
}

const fn abi(arch: u32, msgget: u32) -> Abi {
    Abi { arch, msgget, ipc: None }
}

const fn abi_with_ipc(arch: u32, msgget: u32, ipc: u32) -> Abi {
    Abi { arch, msgget, ipc: Some(ipc) }
}

/// The kinds of programs that a machine's kernel runs: its own first, then the 32-bit ones. A program of another
/// machine that runs under an emulator is one of the emulator's kind. (x32 calls have bit 30 set in their number and
/// are let through: that ABI is younger than the last kerneld.)
const MACHINES: [(&str, &[Abi]); 9] = [
    ("x86_64", &[abi(0xc000_003e, 68), abi_with_ipc(0x4000_0003, 399, 117)]),
    ("x86", &[abi_with_ipc(0x4000_0003, 399, 117)]),
    ("aarch64", &[abi(0xc000_00b7, 186), abi(0x4000_0028, 303)]),
    ("arm", &[abi(0x4000_0028, 303)]),
    ("riscv64", &[abi(0xc000_00f3, 186), abi(0x4000_00f3, 186)]),
    ("loongarch64", &[abi(0xc000_0102, 186)]),
    ("s390x", &[abi_with_ipc(0x8000_0016, 399, 117), abi_with_ipc(0x16, 399, 117)]),
    (
        "powerpc64",
        &[
            abi_with_ipc(0xc000_0015, 399, 117),
            abi_with_ipc(0x8000_0015, 399, 117),
            abi_with_ipc(0x14, 399, 117),
        ],
    ),
    ("powerpc", &[abi_with_ipc(0x14, 399, 117)]),
];

/// `MSGGET`, the operation in the low 16 bits of `ipc`'s first argument; above are version bits.
const IPC_OPERATION_MSGGET: u32 = 13;
/// No system call has this number.
const NO_CALL: u32 = u32::MAX;

const ARCH: u32 = offset_of!(seccomp_data, arch) as u32;
const NR: u32 = offset_of!(seccomp_data, nr) as u32;

/// Where the low half of an argument is, which the machine has in its own byte order.
const fn argument(n: u32) -> u32 {
    let low_half = if cfg!(target_endian = "big") { 4 } else { 0 };
    offset_of!(seccomp_data, args) as u32 + 8 * n + low_half
}

const fn load(from: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, from)
}

const fn and(mask: u32) -> sock_filter {
    instruction(BPF_ALU | BPF_AND | BPF_K, mask)
}

const fn verdict(action: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, action)
}

const fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// The instruction at line `here` goes on at line `yes` or line `no`; BPF counts the lines between.
const fn branch(here: u8, test: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: yes - here - 1, jf: no - here - 1, k }
}

const fn jump(here: u8, to: u8) -> sock_filter {
    instruction(BPF_JMP | BPF_JA, (to - here - 1) as u32)
}

const FLAGS_IN_ARGUMENT_1: u8 = 7;
const FLAGS_IN_ARGUMENT_2: u8 = 9;
const FLAGS: u8 = 10;
const ALLOW: u8 = 11;
const NOTIFY: u8 = 12;
const OTHER_ABI: u8 = 13;

/// Decides about the calls of one kind of programs; those of others go on behind it, with the architecture still
/// loaded.
const fn block(abi: Abi) -> [sock_filter; OTHER_ABI as usize] {
    let ipc = match abi.ipc {
        Some(number) => number,
        None => NO_CALL,
    };
    [
        /*  0 */ branch(0, BPF_JEQ, abi.arch, 1, OTHER_ABI),
        /*  1 */ load(NR),
        /*  2 */ branch(2, BPF_JEQ, abi.msgget, FLAGS_IN_ARGUMENT_1, 3),
        /*  3 */ branch(3, BPF_JEQ, ipc, 4, ALLOW),
        /*  4 */ load(argument(0)),
        /*  5 */ and(0xffff),
        /*  6 */ branch(6, BPF_JEQ, IPC_OPERATION_MSGGET, FLAGS_IN_ARGUMENT_2, ALLOW),
        /*  7 */ load(argument(1)),
        /*  8 */ jump(8, FLAGS),
        /*  9 */ load(argument(2)),
        /* 10 */ branch(10, BPF_JSET, IPC_KERNELD_OLD as u32, NOTIFY, ALLOW),
        /* 11 */ verdict(SECCOMP_RET_ALLOW),
        /* 12 */ verdict(SECCOMP_RET_USER_NOTIF),
    ]
}

fn program_for(abis: &[Abi]) -> Vec<sock_filter> {
    let blocks = abis.iter().flat_map(|abi| block(*abi));
    [load(ARCH)].into_iter().chain(blocks).chain([verdict(SECCOMP_RET_ALLOW)]).collect()
}

/// Notifies of `msgget(key, flags)` and `ipc(MSGGET, key, flags)` when `flags` hold
/// `IPC_KERNELD`, and allows all else. The old protocol's bit is the whole test, because the new
/// protocol's value holds it too. The flags are in a register, so that nothing need be read
/// from the program's memory and no other thread of it can change them.
///
/// `None` on a machine whose system calls are not known here.
pub(super) fn program() -> Option<Vec<sock_filter>> {
    let machine = MACHINES.iter().find(|(name, _)| *name == std::env::consts::ARCH)?;
    Some(program_for(machine.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's part: runs the filter on a call.
    fn run(program: &[sock_filter], call: &seccomp_data) -> u32 {
        let low = |argument: u64| argument as u32;
        let (mut line, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[line];
            line += 1;
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match k {
                        _ if k == NR => call.nr.cast_unsigned(),
                        _ if k == ARCH => call.arch,
                        _ => low(call.args[(0..6).position(|n| argument(n) == k).unwrap()]),
                    };
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= k,
                code if code == BPF_JMP | BPF_JA => line += k as usize,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    line += usize::from(if accumulator == k { jt } else { jf })
                }
                code if code == BPF_JMP | BPF_JSET | BPF_K => {
                    line += usize::from(if accumulator & k != 0 { jt } else { jf });
                }
                code => {
                    assert_eq!(code, BPF_RET | BPF_K);
                    return k;
                }
            }
        }
    }

    fn call(arch: u32, nr: u32, args: [u64; 3]) -> seccomp_data {
        let [first, second, third] = args;
        seccomp_data {
            nr: nr.cast_signed(),
            arch,
            instruction_pointer: 0,
            args: [first, second, third, u64::MAX, u64::MAX, u64::MAX],
        }
    }

    #[test]
    fn on_every_machine_kernelds_calls_and_no_others_are_handed_over() {
        for (name, abis) in MACHINES {
            let program = program_for(abis);
            for abi in abis {
                let handed_over = |nr, args| match run(&program, &call(abi.arch, nr, args)) {
                    SECCOMP_RET_USER_NOTIF => true,
                    other => {
                        assert_eq!(other, SECCOMP_RET_ALLOW);
                        false
                    }
                };
                for (flags, wanted) in
                    [(0o0004_0600, true), (0o0014_0600, true), (0o0010_0600, false), (0o1600, false)]
                {
                    assert_eq!(handed_over(abi.msgget, [0, flags, 0]), wanted, "{name} {flags:o}");
                    let Some(ipc) = abi.ipc else { continue };
                    for version in [0, 1 << 16] {
                        assert_eq!(handed_over(ipc, [version | 13, 0, flags]), wanted, "{name} {flags:o}");
                        assert!(!handed_over(ipc, [version | 12, 0, flags]), "{name}: msgrcv");
                    }
                }
                assert!(!handed_over(abi.msgget + 1, [13, 0o0004_0000, 0o0004_0000]), "{name}");
                assert!(!handed_over(NO_CALL - 1, [13, 0o0004_0000, 0o0004_0000]), "{name}");
            }
            let foreign = call(0x4000_00ff, abis[0].msgget, [0, 0o0004_0600, 0]);
            assert_eq!(run(&program, &foreign), SECCOMP_RET_ALLOW, "{name}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        assert!(program().is_some());
    }
}
