//! The helper that is run: the smallest program there is, unless another is given.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The helper's path: `given`, or a program made in `folder` that does nothing but exit 0.
///
/// # Errors
/// A sentence: there is no such program, or it cannot be made.
pub fn path(given: Option<PathBuf>, folder: &Path) -> Result<PathBuf, String> {
    if let Some(path) = given {
        // A link stays one: some programs go by the name they are called by.
        return std::path::absolute(&path)
            .and_then(|absolute| fs::metadata(&absolute).map(|_| absolute))
            .map_err(|error| format!("cannot use the helper {}: {error}", path.display()));
    }
    if !cfg!(target_arch = "x86_64") {
        return Ok(PathBuf::from("/bin/true"));
    }
    let path = folder.join("nothing");
    fs::write(&path, nothing())
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("cannot make a helper: {error}"))?;
    Ok(path)
}

/// A static x86-64 ELF program: one header, one segment, `exit(0)`.
fn nothing() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // mov eax, 60 (exit); xor edi, edi; syscall
    const CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    let size = HEADERS + CODE.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let word = |elf: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| elf.extend_from_slice(&value.to_le_bytes()));
    };
    let long = |elf: &mut Vec<u8>, values: &[u64]| {
        values.iter().for_each(|value| elf.extend_from_slice(&value.to_le_bytes()));
    };
    // An executable (2) for x86-64 (62), version 1; entry; program headers at 64; no sections.
    word(&mut elf, &[62 << 16 | 2, 1]);
    long(&mut elf, &[BASE + HEADERS, 64, 0]);
    word(&mut elf, &[0, 56 << 16 | 64, 1, 0]);
    // One loaded segment (1), readable and executable (5): the whole file.
    word(&mut elf, &[1, 5]);
    long(&mut elf, &[0, BASE, BASE, size, size, 0x1000]);
    elf.extend_from_slice(&CODE);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_runs_and_exits_0() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(None, folder.path()).unwrap();
        let status = std::process::Command::new(path).args(["-q", "--", "x"]).status().unwrap();
        assert!(status.success(), "{status}");
    }
}
