//! The filter: which system calls are the old kernel's business. Pure; the kernel runs it.
//!
//! Classic BPF over `struct seccomp_data` (seccomp(2)). A call that does not match is allowed
//! inside the kernel; since Linux 5.11 the kernel even remembers for each system call number that
//! the filter always allows it, so that only `msgget` and i386 `ipc` run these instructions.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, seccomp_data, sock_filter,
};
use std::mem::offset_of;

use kerneld_protocol::queue::IPC_KERNELD_OLD;

/// `AUDIT_ARCH_X86_64`: EM_X86_64, 64-bit, little-endian (`include/uapi/linux/audit.h`).
const ARCH_X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`: EM_386, little-endian. Also what `int 0x80` is in a 64-bit process.
const ARCH_I386: u32 = 0x4000_0003;

/// `msgget` on x86-64. (x32 calls have bit 30 set as well and are let through: that ABI is younger
/// than the last kerneld.)
const X86_64_MSGGET: u32 = 68;
/// `ipc` on i386: all a program of the 1990s has.
const I386_IPC: u32 = 117;
/// `msgget` on i386, a call of its own since Linux 5.1.
const I386_MSGGET: u32 = 399;
/// `MSGGET`, the operation in the low 16 bits of `ipc`'s first argument; above are version bits.
const IPC_OPERATION_MSGGET: u32 = 13;

const ARCH: u32 = offset_of!(seccomp_data, arch) as u32;
const NR: u32 = offset_of!(seccomp_data, nr) as u32;

/// Where the low half of an argument is: both architectures are little-endian.
const fn argument(n: u32) -> u32 {
    offset_of!(seccomp_data, args) as u32 + 8 * n
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

const FLAGS_IN_ARGUMENT_1: u8 = 13;
const FLAGS: u8 = 14;
const NOTIFY: u8 = 15;
const ALLOW: u8 = 16;

/// Notifies of `msgget(key, flags)` and i386 `ipc(MSGGET, key, flags)` when `flags` hold
/// `IPC_KERNELD`, and allows all else. The old protocol's bit is the whole test, because the new
/// protocol's value holds it too. The flags are in a register, so that nothing need be read
/// from the program's memory and no other thread of it can change them.
pub(super) const fn program() -> [sock_filter; 17] {
    [
        /*  0 */ load(ARCH),
        /*  1 */ branch(1, BPF_JEQ, ARCH_X86_64, 2, 4),
        /*  2 */ load(NR),
        /*  3 */ branch(3, BPF_JEQ, X86_64_MSGGET, FLAGS_IN_ARGUMENT_1, ALLOW),
        /*  4 */ branch(4, BPF_JEQ, ARCH_I386, 5, ALLOW),
        /*  5 */ load(NR),
        /*  6 */ branch(6, BPF_JEQ, I386_MSGGET, FLAGS_IN_ARGUMENT_1, 7),
        /*  7 */ branch(7, BPF_JEQ, I386_IPC, 8, ALLOW),
        /*  8 */ load(argument(0)),
        /*  9 */ and(0xffff),
        /* 10 */ branch(10, BPF_JEQ, IPC_OPERATION_MSGGET, 11, ALLOW),
        /* 11 */ load(argument(2)),
        /* 12 */ jump(12, FLAGS),
        /* 13 */ load(argument(1)),
        /* 14 */ branch(14, BPF_JSET, IPC_KERNELD_OLD as u32, NOTIFY, ALLOW),
        /* 15 */ verdict(SECCOMP_RET_USER_NOTIF),
        /* 16 */ verdict(SECCOMP_RET_ALLOW),
    ]
}
