//! The system calls on message queues: the only `unsafe` code of this crate.
//!
//! `sysvmq` makes, inspects, changes and deletes queues where it builds, which is x86-64 with glibc;
//! elsewhere [`own`] makes the same calls. Sending and receiving are our own everywhere, because a
//! message is received by type, into a buffer of known size, and its length matters.

use super::{Buffer, CAPACITY};
use libc::msqid_ds;
use nix::errno::Errno;

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu")))]
pub(super) use own::{create, delete, get, set};
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))]
pub(super) use with_sysvmq::{create, delete, get, set};

/// `sysvmq` 0.1 takes some fields' sizes for granted that are others on most machines.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))]
mod with_sysvmq {
    use super::{Errno, msqid_ds};

    pub(in super::super) fn create(key: i32, flags: i32) -> Result<i32, Errno> {
        sysvmq::create(key, flags).map_err(|_| Errno::last())
    }

    pub(in super::super) fn get(id: i32) -> Result<msqid_ds, Errno> {
        sysvmq::get(id, sysvmq::IPC_STAT).map_err(|_| Errno::last())
    }

    pub(in super::super) fn set(id: i32, state: &mut msqid_ds) -> Result<(), Errno> {
        sysvmq::set(id, state).map_err(|_| Errno::last())
    }

    pub(in super::super) fn delete(id: i32) -> Result<(), Errno> {
        sysvmq::delete(id).map_err(|_| Errno::last())
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_pointer_width = "64", target_env = "gnu"))))]
mod own {
    use super::{Errno, msqid_ds};
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    pub(in super::super) fn create(key: i32, flags: i32) -> Result<i32, Errno> {
        // SAFETY: msgget takes plain integers.
        Errno::result(unsafe { libc::msgget(key, libc::IPC_CREAT | flags) })
    }

    pub(in super::super) fn get(id: i32) -> Result<msqid_ds, Errno> {
        let mut state = MaybeUninit::zeroed();
        // SAFETY: IPC_STAT writes one msqid_ds.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_STAT, state.as_mut_ptr()) })?;
        // SAFETY: integers only, all of them set.
        Ok(unsafe { state.assume_init() })
    }

    pub(in super::super) fn set(id: i32, state: &mut msqid_ds) -> Result<(), Errno> {
        // SAFETY: IPC_SET reads one msqid_ds.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_SET, state) }).map(drop)
    }

    pub(in super::super) fn delete(id: i32) -> Result<(), Errno> {
        // SAFETY: IPC_RMID looks at no buffer.
        Errno::result(unsafe { libc::msgctl(id, libc::IPC_RMID, null_mut()) }).map(drop)
    }
}

/// The id of the key's queue, which must exist. (sysvmq's create would make a missing queue.)
pub(super) fn open(key: i32) -> Result<i32, Errno> {
    // SAFETY: msgget takes plain integers.
    Errno::result(unsafe { libc::msgget(key, 0) })
}

/// Sends the first `len` bytes of the buffer's text, at most [`CAPACITY`], without waiting.
pub(super) fn send(id: i32, buffer: &Buffer, len: usize) -> Result<(), Errno> {
    let len = len.min(CAPACITY);
    // SAFETY: `buffer` is a msgbuf whose text holds CAPACITY bytes.
    let sent = unsafe { libc::msgsnd(id, (&raw const *buffer).cast(), len, libc::IPC_NOWAIT) };
    Errno::result(sent).map(drop)
}

/// Receives into the buffer; how many bytes of text.
pub(super) fn receive(
    id: i32,
    buffer: &mut Buffer,
    msgtyp: libc::c_long,
    flags: i32,
) -> Result<usize, Errno> {
    // SAFETY: `buffer` is a msgbuf with room for CAPACITY bytes of text, and lives through the call.
    let received = unsafe { libc::msgrcv(id, (&raw mut *buffer).cast(), CAPACITY, msgtyp, flags) };
    Errno::result(received).map(isize::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four calls that two crates can make.
    struct Rim {
        create: fn(i32, i32) -> Result<i32, Errno>,
        get: fn(i32) -> Result<msqid_ds, Errno>,
        set: fn(i32, &mut msqid_ds) -> Result<(), Errno>,
        delete: fn(i32) -> Result<(), Errno>,
    }

    const RIMS: [Rim; 2] = [
        Rim { create, get, set, delete },
        Rim { create: own::create, get: own::get, set: own::set, delete: own::delete },
    ];

    #[test]
    fn both_rims_make_change_and_delete_queues_alike() {
        for rim in RIMS {
            let id = (rim.create)(libc::IPC_PRIVATE, 0o640).unwrap();
            let mut state = (rim.get)(id).unwrap();
            assert_eq!((state.msg_perm.mode & 0o777, state.msg_qnum), (0o640, 0));
            state.msg_perm.mode = 0o600;
            state.msg_qbytes = 4096;
            (rim.set)(id, &mut state).unwrap();
            let state = (rim.get)(id).unwrap();
            assert_eq!((state.msg_perm.mode & 0o777, state.msg_qbytes), (0o600, 4096));
            (rim.delete)(id).unwrap();
            assert!(matches!((rim.get)(id), Err(Errno::EIDRM | Errno::EINVAL)));
            assert!((rim.set)(id, &mut state.clone()).is_err() && (rim.delete)(id).is_err());
        }
    }

    #[test]
    fn both_rims_refuse_to_make_a_queue_twice() {
        for rim in RIMS {
            let key = 0x4b72_0000 | (std::process::id() & 0xffff).cast_signed();
            let id = (rim.create)(key, 0o600 | libc::IPC_EXCL).unwrap();
            let again = (rim.create)(key, 0o600 | libc::IPC_EXCL);
            (rim.delete)(id).unwrap();
            assert_eq!((again, open(key)), (Err(Errno::EEXIST), Err(Errno::ENOENT)));
        }
    }
}
