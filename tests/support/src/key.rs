//! Keys of SysV queues.

use std::fs::File;
use std::io::Read;

/// A key that no other test has, nor a kerneld that somebody uses. Never 0, which is `IPC_PRIVATE`.
///
/// # Panics
///
/// Without `/dev/urandom`.
#[must_use]
pub fn fresh_key() -> i32 {
    let mut random = [0; 4];
    let mut source = File::open("/dev/urandom").expect("/dev/urandom");
    source.read_exact(&mut random).expect("random bytes");
    // Positive, so that it can be written as hexadecimal for every program.
    (i32::from_ne_bytes(random) & 0x3fff_ffff) | 0x4000_0000
}
