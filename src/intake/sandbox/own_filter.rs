//! The system call filter on machines that `seccompiler` does not know: classic BPF over `struct seccomp_data`
//! (seccomp(2)), a list of calls, some of them with one kind of arguments only. Pure, apart from [`install`].
//!
//! On these machines the C library may receive messages through `ipc(2)`, and from sockets through
//! `socketcall(2)`.

use super::calls::ALLOWED;
use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_KILL_PROCESS, c_long, seccomp_data, sock_filter,
};
use std::mem::offset_of;

/// `AUDIT_ARCH_…` (`include/uapi/linux/audit.h`).
const MACHINE: u32 = if cfg!(target_arch = "x86") {
    0x4000_0003
} else if cfg!(target_arch = "arm") {
    0x4000_0028
} else if cfg!(target_arch = "s390x") {
    0x8000_0016
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    0xc000_0015
} else if cfg!(target_arch = "powerpc64") {
    0x8000_0015
} else {
    0xc000_003e
};

/// `msgrcv`: on machines with `ipc` a call of its own since Linux 5.1, which the libc crate does not name.
const MSGRCV: c_long = if cfg!(target_arch = "arm") { 302 } else { 401 };
/// `MSGRCV`, the operation in the low 16 bits of `ipc`'s first argument.
const IPC_OPERATION_MSGRCV: u32 = 12;
/// `SYS_RECVMSG` of `include/uapi/linux/net.h`.
#[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "powerpc64"))]
const SOCKETCALL_RECVMSG: u32 = 17;

/// What it calls with arguments of one kind: messages from its queue, lines to standard error, memory that
/// nothing is executed in.
pub const CHECKED: &[c_long] = &[
    MSGRCV,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_mprotect,
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    libc::SYS_mmap2,
    #[cfg(not(any(target_arch = "x86", target_arch = "arm", target_arch = "s390x")))]
    libc::SYS_mmap,
    #[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "powerpc64"))]
    libc::SYS_ipc,
    #[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "powerpc64"))]
    libc::SYS_socketcall,
];

/// What is looked at: the low half of an argument, in the machine's byte order.
const fn argument(n: u32) -> u32 {
    let low_half = if cfg!(target_endian = "big") { 4 } else { 0 };
    offset_of!(seccomp_data, args) as u32 + 8 * n + low_half
}

const fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const fn load(from: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, from)
}

const fn branch(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt, jf, k }
}

const ALLOW: sock_filter = instruction(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
const KILL: sock_filter = instruction(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);

fn only(argument_number: u32, value: u32) -> Vec<sock_filter> {
    vec![load(argument(argument_number)), branch(BPF_JEQ, value, 0, 1), ALLOW, KILL]
}

/// Receives from the queue through `ipc`.
fn only_receives(queue: u32) -> Vec<sock_filter> {
    let operation = [
        load(argument(0)),
        instruction(BPF_ALU | BPF_AND | BPF_K, 0xffff),
        branch(BPF_JEQ, IPC_OPERATION_MSGRCV, 1, 0),
        KILL,
    ];
    operation.into_iter().chain(only(1, queue)).collect()
}

fn checks(number: c_long, queue: u32) -> Vec<sock_filter> {
    match number {
        MSGRCV => only(0, queue),
        #[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "powerpc64"))]
        libc::SYS_ipc => only_receives(queue),
        #[cfg(any(target_arch = "x86", target_arch = "s390x", target_arch = "powerpc64"))]
        libc::SYS_socketcall => only(0, SOCKETCALL_RECVMSG),
        libc::SYS_write | libc::SYS_writev => only(0, libc::STDERR_FILENO as u32),
        _ => vec![load(argument(2)), branch(BPF_JSET, libc::PROT_EXEC as u32, 1, 0), ALLOW, KILL],
    }
}

fn program(queue: i32) -> Vec<sock_filter> {
    let right_machine = [load(offset_of!(seccomp_data, arch) as u32), branch(BPF_JEQ, MACHINE, 1, 0), KILL];
    let number = load(offset_of!(seccomp_data, nr) as u32);
    let allowed = ALLOWED.iter().map(|number| (*number, vec![ALLOW]));
    let checked = CHECKED.iter().map(|number| (*number, checks(*number, queue.cast_unsigned())));
    let calls = allowed.chain(checked).flat_map(|(number, decides)| {
        let is_it = branch(BPF_JEQ, number as u32, 0, decides.len() as u8);
        [is_it].into_iter().chain(decides)
    });
    right_machine.into_iter().chain([number]).chain(calls).chain([KILL]).collect()
}

/// Lets all threads of this process make no other system calls.
///
/// # Errors
/// A sentence naming the step that failed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(super) fn install(queue: i32) -> Result<(), String> {
    crate::sys::filter_system_calls(&program(queue))
        .map_err(|errno| super::step::step("set the system call filter")(errno.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's part.
    fn run(program: &[sock_filter], arch: u32, number: u32, args: [u32; 3]) -> bool {
        let (mut line, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[line];
            line += 1;
            let code = u32::from(code);
            if code == BPF_LD | BPF_W | BPF_ABS {
                let fixed = [(offset_of!(seccomp_data, arch), arch), (offset_of!(seccomp_data, nr), number)];
                let found = fixed.into_iter().find_map(|(at, value)| (at as u32 == k).then_some(value));
                accumulator = found.unwrap_or_else(|| args[(0..3).position(|n| argument(n) == k).unwrap()]);
            } else if code == BPF_ALU | BPF_AND | BPF_K {
                accumulator &= k;
            } else if code == BPF_RET | BPF_K {
                return k == SECCOMP_RET_ALLOW;
            } else {
                let yes =
                    if code == BPF_JMP | BPF_JSET | BPF_K { accumulator & k != 0 } else { accumulator == k };
                line += usize::from(if yes { jt } else { jf });
            }
        }
    }

    #[test]
    fn listed_calls_pass_and_others_end_the_process() {
        let program = program(77);
        let passes = |number: c_long, args| run(&program, MACHINE, number as u32, args);
        assert!(ALLOWED.iter().all(|number| passes(*number, [9, 9, 9])));
        let others = (0..1000).filter(|number| !ALLOWED.contains(number) && !CHECKED.contains(number));
        assert!(others.into_iter().all(|number| !passes(number, [0, 0, 0])));
        assert!(!run(&program, MACHINE + 1, libc::SYS_getpid as u32, [0, 0, 0]), "another machine's calls");
    }

    #[test]
    fn checked_calls_pass_with_arguments_of_one_kind() {
        let program = program(77);
        let passes = |number: c_long, args| run(&program, MACHINE, number as u32, args);
        assert!(passes(MSGRCV, [77, 0, 0]) && !passes(MSGRCV, [78, 0, 0]));
        for number in [libc::SYS_write, libc::SYS_writev] {
            assert!(passes(number, [2, 0, 0]) && !passes(number, [1, 0, 0]));
        }
        let (writable, executable) = (libc::PROT_WRITE as u32, (libc::PROT_EXEC | libc::PROT_READ) as u32);
        assert!(
            passes(libc::SYS_mprotect, [0, 0, writable]) && !passes(libc::SYS_mprotect, [0, 0, executable])
        );
    }

    #[test]
    fn of_ipc_only_receiving_from_the_queue_passes() {
        let decides = only_receives(77);
        let passes = |args| run(&decides, MACHINE, 117, args);
        assert!(passes([12, 77, 0]) && passes([1 << 16 | 12, 77, 0]));
        assert!(!passes([11, 77, 0]) && !passes([12, 78, 0]) && !passes([14, 77, 0]));
    }
}
