//! The root directory that an old program sees: this machine's, read-only, but for what it would look for
//! in `/sbin`, `/bin/sh` and `/lib/modules`, which are the stage's.
//!
//! The root is a tmpfs of symbolic links into this machine's own, so that nothing need exist here, not even
//! `/lib/modules`, and nothing here is touched.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where this machine's root is in that of the old program.
const OUTER: &str = ".outer";

/// File systems that hold no files of this machine's: those that cannot be made read-only stay as they are.
const NOT_DISKS: [&str; 12] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "bpf",
    "debugfs",
    "tracefs",
    "securityfs",
    "fuse.lxcfs",
];

const NOTHING: Option<&str> = None;

/// Makes the root in a mount namespace of our own, and enters it. `modules`: whether `/lib/modules` is
/// the stage's, too.
///
/// # Errors
/// A sentence.
pub(super) fn enter(stage: &Path, modules: bool) -> Result<(), String> {
    let root = stage.join("root");
    let outer = root.join(OUTER);
    change(None, "/".as_ref(), MsFlags::MS_REC | MsFlags::MS_PRIVATE)
        .map_err(failed("cannot part with the outer mounts"))?;
    // A mount of its own, so that it stays writable.
    change(Some(stage), stage, MsFlags::MS_BIND).map_err(failed("cannot mount the stage"))?;
    fs::create_dir_all(&root).map_err(told("cannot make a root"))?;
    mount(NOTHING, &root, Some("tmpfs"), MsFlags::empty(), NOTHING).map_err(failed("cannot mount a root"))?;
    fs::create_dir(&outer).map_err(told("cannot make a root"))?;
    change(Some("/".as_ref()), &outer, MsFlags::MS_BIND | MsFlags::MS_REC)
        .map_err(failed("cannot mount this machine's root"))?;
    make_read_only(&outer, stage)?;
    furnish(&root, stage, modules).map_err(told("cannot furnish a root"))?;
    chroot(&root).and_then(|()| chdir("/")).map_err(failed("cannot enter a root"))
}

fn change(from: Option<&Path>, to: &Path, flags: MsFlags) -> Result<(), Errno> {
    mount(from, to, NOTHING, flags, NOTHING)
}

fn failed(what: &str) -> impl Fn(Errno) -> String {
    move |errno| format!("{what}: {}", errno.desc())
}

fn told(what: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// Fills the root with links.
fn furnish(root: &Path, stage: &Path, modules: bool) -> std::io::Result<()> {
    let in_stage =
        |name: &str| Path::new("/").join(OUTER).join(stage.strip_prefix("/").unwrap_or(stage)).join(name);
    let ours: [(&str, Vec<(&str, PathBuf)>); 2] = [
        ("bin", vec![("sh", in_stage("shell/sh"))]),
        ("lib", modules.then(|| ("modules", in_stage("modules"))).into_iter().collect()),
    ];
    for entry in fs::read_dir("/")? {
        let name = entry?.file_name();
        if !["bin", "lib", "sbin", OUTER].map(OsStr::new).contains(&name.as_os_str()) {
            symlink(Path::new("/").join(OUTER).join(&name), root.join(&name))?;
        }
    }
    symlink(in_stage("sbin"), root.join("sbin"))?;
    for (folder, ours) in ours {
        fs::create_dir(root.join(folder))?;
        for (name, target) in &ours {
            symlink(target, root.join(folder).join(name))?;
        }
        link_others(root, folder, &ours)?;
    }
    Ok(())
}

/// Links what this machine has in a folder, and we have not.
fn link_others(root: &Path, folder: &str, ours: &[(&str, PathBuf)]) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(Path::new("/").join(folder)) else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name();
        if !ours.iter().any(|(own, _)| OsStr::new(own) == name) {
            symlink(Path::new("/").join(OUTER).join(folder).join(&name), root.join(folder).join(&name))?;
        }
    }
    Ok(())
}

/// A line of `/proc/self/mountinfo`.
struct Mount {
    place: PathBuf,
    flags: MsFlags,
    kind: String,
}

fn make_read_only(outer: &Path, stage: &Path) -> Result<(), String> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(told("cannot read the mounts"))?;
    let stage = outer.join(stage.strip_prefix("/").unwrap_or(stage));
    for Mount { place, flags, kind } in text.lines().filter_map(parse) {
        if !place.starts_with(outer) || place.starts_with(&stage) {
            continue;
        }
        let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        match change(None, &place, flags) {
            // Another mount may hide it.
            Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
            Err(_) if NOT_DISKS.contains(&kind.as_str()) => {}
            Err(errno) => {
                return Err(format!("cannot make {} read-only: {}", place.display(), errno.desc()));
            }
        }
    }
    Ok(())
}

fn parse(line: &str) -> Option<Mount> {
    let (fields, rest) = line.split_once(" - ")?;
    let mut fields = fields.split(' ').skip(4);
    let (place, options) = (fields.next()?, fields.next()?);
    let kind = rest.split(' ').next()?.to_owned();
    Some(Mount { place: unescaped(place), flags: options.split(',').map(flag).collect(), kind })
}

/// The flags that a mount keeps: in a user namespace they must not be lost.
fn flag(option: &str) -> MsFlags {
    match option {
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    }
}

/// A path of mountinfo, in which blanks and backslashes are three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = (*byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|three| std::str::from_utf8(three).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => (bytes.push(escaped), rest = &after[3..]),
            None => (bytes.push(*byte), rest = after),
        };
    }
    OsStr::from_bytes(&bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = "36 35 98:0 / /mnt/a\\040b rw,nosuid,noatime master:1 - ext4 /dev/root rw";
        let Mount { place, flags, kind } = parse(line).unwrap();
        assert_eq!((place.as_path(), kind.as_str()), ("/mnt/a b".as_ref(), "ext4"));
        assert_eq!(flags, MsFlags::MS_NOSUID | MsFlags::MS_NOATIME);
    }
}
