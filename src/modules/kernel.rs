//! What the kernel shows of loaded modules, and how one of them is unloaded.
#![forbid(unsafe_code)]

use nix::kmod::{DeleteModuleFlags, delete_module};
use procfs::{FromRead, KernelModules};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::io::{Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `IFF_UP` of `<linux/if.h>`, in `/sys/class/net/*/flags`.
const IFF_UP: u32 = 1;

/// A loaded module, as `/proc/modules` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// How often it is in use; each module that uses it counts once.
    pub(crate) references: i32,
    /// The modules that use it.
    pub(crate) users: Vec<String>,
    /// Neither being loaded nor being unloaded.
    pub(crate) live: bool,
}

/// The loaded modules by name, with `_` for `-` as the kernel has it.
pub(crate) type Modules = BTreeMap<String, Loaded>;

/// `/proc/modules` at one moment, as text: it is only parsed when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing(String);

impl Listing {
    /// The names of those that came since `before`.
    pub(crate) fn since(&self, before: &Listing) -> Vec<String> {
        if self == before {
            return Vec::new();
        }
        let before: BTreeSet<&str> = before.names().collect();
        self.names().filter(|name| !before.contains(name)).map(str::to_owned).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter_map(|line| line.split_whitespace().next())
    }
}

/// The running kernel, seen through `proc` and `sys` below a root.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    root: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel::below("/")
    }
}

impl Kernel {
    /// The kernel whose `proc` and `sys` are in `root`.
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Kernel { root: root.into() }
    }

    /// All loaded modules.
    ///
    /// # Errors
    /// When `/proc/modules` cannot be read (a kernel without modules has none), or has no use counts
    /// (a kernel that cannot unload).
    pub(crate) fn loaded(&self) -> Result<Modules> {
        let path = self.root.join("proc/modules");
        let modules = KernelModules::from_file(&path)
            .map_err(|error| Error::other(format!("cannot read {}: {error}", path.display())))?;
        let loaded = modules.0.into_iter().map(|(name, module)| {
            let live = module.state == "Live";
            (name, Loaded { references: module.refcount, users: module.used_by, live })
        });
        Ok(loaded.collect())
    }

    /// What is loaded now.
    ///
    /// # Errors
    /// When `/proc/modules` cannot be read: a kernel without modules has none.
    pub(crate) fn listing(&self) -> Result<Listing> {
        fs::read_to_string(self.root.join("proc/modules")).map(Listing)
    }

    /// What distinguishes a loaded module from one of the same name loaded at another time of the same boot:
    /// the inode number of its `/sys/module` directory, which the kernel makes anew at each load and,
    /// counting upwards, does not give twice. `None` when it is not loaded.
    pub(crate) fn identity(&self, name: &str) -> Option<u64> {
        fs::metadata(self.root.join("sys/module").join(name)).map(|dir| dir.ino()).ok()
    }

    /// What distinguishes this boot from every other.
    ///
    /// # Errors
    /// When `/proc/sys/kernel/random/boot_id` cannot be read.
    pub(crate) fn boot_id(&self) -> Result<String> {
        kerneld_journal::boot_id(&self.root)
    }

    /// Those of the `loaded` modules that drive network interfaces which are up. Up to Linux 2.4 such an
    /// interface counted as a use of its driver; today's kernels take the driver, and the network with
    /// it, away from under it. An interface without a device, like `dummy0`, does not show its driver:
    /// there every module counts whose name holds the interface's, less its digits. (Not so `tunl0`'s
    /// ipip, nor interfaces of names of one's own.)
    pub(crate) fn network_drivers(&self, loaded: &Modules) -> BTreeSet<String> {
        let interfaces = fs::read_dir(self.root.join("sys/class/net")).into_iter().flatten().flatten();
        interfaces
            .filter(|interface| is_up(&interface.path()))
            .flat_map(|up| drivers(&up.path(), loaded))
            .collect()
    }
}

fn is_up(interface: &Path) -> bool {
    let flags = fs::read_to_string(interface.join("flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).is_ok_and(|flags| flags & IFF_UP != 0)
}

fn drivers(interface: &Path, loaded: &Modules) -> Vec<String> {
    let named = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    if let Ok(module) = fs::read_link(interface.join("device/driver/module")) {
        return named(&module).into_iter().collect();
    }
    let name = named(interface).unwrap_or_default();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let may_drive = |module: &&String| !stem.is_empty() && name != "lo" && module.contains(stem);
    loaded.keys().filter(may_drive).cloned().collect()
}

/// Unloads one module if nothing uses it, without waiting: delete_module(2) with `O_NONBLOCK`. Unlike
/// `modprobe -r` it leaves alone what the module depends on, which may have been there before.
///
/// # Errors
/// The kernel's, such as `EWOULDBLOCK` for a module in use and `EPERM` without `CAP_SYS_MODULE`;
/// `EINVAL` for a name with a NUL in it.
pub(crate) fn unload(name: &str) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| nix::Error::EINVAL)?;
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn tree(files: &[(&str, &str)]) -> (TempDir, Kernel) {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let kernel = Kernel::below(root.path());
        (root, kernel)
    }

    #[test]
    fn a_line_of_proc_modules_tells_uses_users_and_state() {
        let lines = "vfat 24576 0 - Live 0x0\n\
                     fat 86016 1 vfat, Live 0x0\n\
                     crc 16384 3 ext4,jbd2, Loading 0x0 (OE)\n\
                     stay 16384 1 [permanent], Live 0x0\n\
                     away 16384 -1 - Unloading 0x0\n";
        let (_root, kernel) = tree(&[("proc/modules", lines)]);
        let module = |references, users: &[&str], live| {
            let users = users.iter().copied().map(str::to_owned).collect();
            Loaded { references, users, live }
        };
        let wanted = [
            ("away", module(-1, &[], false)),
            ("crc", module(3, &["ext4", "jbd2"], false)),
            ("fat", module(1, &["vfat"], true)),
            ("stay", module(1, &["[permanent]"], true)),
            ("vfat", module(0, &[], true)),
        ];
        assert_eq!(kernel.loaded().unwrap(), wanted.map(|(name, module)| (name.to_owned(), module)).into());
    }

    #[test]
    fn what_came_in_is_the_difference() {
        let before = Listing("old 16384 0 - Live 0x0\nleaves 16384 0 - Live 0x0\n".to_owned());
        let after = Listing("old 16384 1 new, Live 0x0\nnew 16384 0 - Live 0x0\n".to_owned());
        assert_eq!(after.since(&before), ["new"]);
        assert!(after.since(&after).is_empty());
    }

    #[test]
    fn a_kernel_that_cannot_unload_is_an_error_and_not_a_panic() {
        for text in ["vfat 24576 - - Live 0x0\n", "vfat\n", "vfat x 0 -\n"] {
            let (_root, kernel) = tree(&[("proc/modules", text)]);
            assert!(kernel.loaded().unwrap_err().to_string().contains("proc/modules"), "{text}");
        }
        assert!(tree(&[]).1.loaded().is_err());
    }

    #[test]
    fn a_module_that_was_made_anew_has_another_identity() {
        let (root, kernel) = tree(&[("sys/module/vfat/refcnt", "0\n")]);
        let before = kernel.identity("vfat");
        assert!(before.is_some());
        // Kept beside it, so that the file system cannot give its inode number again.
        fs::rename(root.path().join("sys/module/vfat"), root.path().join("old")).unwrap();
        assert_eq!(kernel.identity("vfat"), None);
        fs::create_dir(root.path().join("sys/module/vfat")).unwrap();
        assert!(kernel.identity("vfat").is_some_and(|now| Some(now) != before));
    }

    const LOADED: &str = "dummy 16384 0 - Live 0x0\nsit 16384 0 - Live 0x0\ne1000 16384 0 - Live 0x0\n";

    #[test]
    fn the_driver_of_an_interface_that_is_up_is_found() {
        let (root, kernel) = tree(&[
            ("sys/class/net/eth0/flags", "0x1003\n"),
            ("sys/class/net/eth1/flags", "0x1002\n"),
            ("sys/class/net/lo/flags", "0x9\n"),
            ("sys/class/net/bonding_masters", "\n"),
            ("sys/class/net/dummy0/flags", "0x83\n"),
            ("sys/class/net/sit0/flags", "0x80\n"),
            ("proc/modules", LOADED),
        ]);
        for (interface, module) in [("eth0", "e1000"), ("eth1", "tulip")] {
            let driver = root.path().join("sys/class/net").join(interface).join("device/driver");
            fs::create_dir_all(&driver).unwrap();
            symlink(format!("../../../../module/{module}"), driver.join("module")).unwrap();
        }
        let loaded = kernel.loaded().unwrap();
        assert_eq!(kernel.network_drivers(&loaded), ["dummy", "e1000"].map(str::to_owned).into());
    }

    #[test]
    fn a_name_with_a_nul_is_refused() {
        assert_eq!(unload("a\0b"), Err(nix::Error::EINVAL));
    }
}
