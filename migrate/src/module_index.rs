//! A target kernel's own index of modules: `lib/modules/RELEASE/modules.*`, as depmod writes it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::names::canonical;

/// The module index of one kernel release.
#[derive(Debug)]
pub struct Kernel {
    /// The release, as `uname -r` prints it.
    pub release: String,
    /// The directory to give to `modprobe -d`: it holds `lib/modules/RELEASE`.
    pub base: PathBuf,
    modules: HashSet<String>,
    builtin: HashSet<String>,
    softdeps: HashMap<String, String>,
}

impl Kernel {
    /// Reads the index of `release` below `root`; without a release, of the only one there.
    pub fn open(root: &Path, release: Option<&str>) -> Result<Kernel, String> {
        let (base, release) = find(root, release)?;
        let directory = base.join("lib/modules").join(&release);
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|error| format!("{} cannot be read: {error} (has depmod been run?)", path.display()))
        };
        let modules = read("modules.dep")?
            .lines()
            .map(|line| module_name(line.split(':').next().unwrap_or(line)))
            .collect();
        let builtin = read("modules.builtin").unwrap_or_default().lines().map(module_name).collect();
        let softdeps = softdeps(&read("modules.softdep").unwrap_or_default());
        Ok(Kernel { release, base, modules, builtin, softdeps })
    }

    /// Whether it is a loadable module of this kernel.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.contains(&canonical(name))
    }

    /// Whether it is built into this kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&canonical(name))
    }

    /// The `pre: … post: …` that modules.softdep has for a module.
    pub fn softdep(&self, name: &str) -> Option<&str> {
        self.softdeps.get(&canonical(name)).map(String::as_str)
    }

    /// All aliases of modules and of built-in parts: pattern and module.
    pub fn aliases(&self) -> Result<Vec<(String, String)>, String> {
        let directory = self.base.join("lib/modules").join(&self.release);
        let path = directory.join("modules.alias");
        let text =
            std::fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let mut aliases: Vec<(String, String)> = String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' '))
            .map(|(pattern, module)| (pattern.to_owned(), module.to_owned()))
            .collect();
        let information = std::fs::read(directory.join("modules.builtin.modinfo")).unwrap_or_default();
        for record in information.split(|byte| *byte == 0) {
            if let Some((module, pattern)) = String::from_utf8_lossy(record).split_once(".alias=") {
                aliases.push((pattern.to_owned(), module.to_owned()));
            }
        }
        Ok(aliases)
    }
}

/// Where `lib/modules/RELEASE` is: below `root` or, on a merged system's package, below `root/usr`. Without a
/// release: the running kernel's below `/`, else the only one there.
fn find(root: &Path, release: Option<&str>) -> Result<(PathBuf, String), String> {
    for base in [root.to_owned(), root.join("usr")] {
        let all = base.join("lib/modules");
        let has_index = |release: &str| all.join(release).join("modules.dep").exists();
        if let Some(release) = release {
            if has_index(release) {
                return Ok((base, release.to_owned()));
            }
            continue;
        }
        let entries = std::fs::read_dir(&all).into_iter().flatten().flatten();
        let releases: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|release| has_index(release))
            .collect();
        let running = running().filter(|running| root == Path::new("/") && releases.contains(running));
        match (&releases[..], running) {
            (_, Some(running)) => return Ok((base, running)),
            ([], None) => {}
            ([release], None) => return Ok((base, release.clone())),
            _ => return Err(format!("{} holds several kernels: choose one with --kernel", all.display())),
        }
    }
    let which = release.unwrap_or("a kernel");
    Err(format!("no module index of {which} below {} (lib/modules/RELEASE/modules.dep)", root.display()))
}

fn running() -> Option<String> {
    nix::sys::utsname::uname().ok()?.release().to_str().map(str::to_owned)
}

/// `kernel/drivers/net/ne2k-pci.ko.xz` → `ne2k_pci`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical(file.split(".ko").next().unwrap_or(file))
}

fn softdeps(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("softdep ")) {
        if let Some((module, dependencies)) = line.split_once(' ')
            && (dependencies.contains("pre:") || dependencies.contains("post:"))
        {
            found.entry(canonical(module)).or_insert_with(|| dependencies.to_owned());
        }
    }
    found
}
