//! A target kernel's own index of modules: `lib/modules/RELEASE/modules.*`, as depmod writes it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use kerneld_kmod::{module_of_file, underscored};

use crate::error::{Error, Result};
use crate::root::Root;

/// One kernel release, by its module index.
#[derive(Debug)]
pub struct Kernel {
    /// The release, as `uname -r` prints it.
    pub release: String,
    /// The directory to give to `modprobe -d`: it holds `lib/modules/RELEASE`.
    pub base: PathBuf,
    /// Loadable modules by underscored name, with their files' paths below `lib/modules/RELEASE`.
    modules: HashMap<String, String>,
    builtin: HashSet<String>,
    softdeps: HashMap<String, String>,
    root: Root,
    folder: String,
}

impl Kernel {
    /// Reads the index of `release` below `root`; without a release, of the only one there.
    ///
    /// # Errors
    /// When there is no index, or several and none was chosen, or it cannot be read.
    pub fn open(root: &Path, release: Option<&str>) -> Result<Kernel> {
        let opened = Root::open(root)?;
        let (prefix, release) = find(&opened, release)?;
        let folder = format!("{prefix}/lib/modules/{release}");
        let mut kernel = Kernel {
            release,
            base: root.join(prefix.trim_start_matches('/')),
            modules: HashMap::new(),
            builtin: HashSet::new(),
            softdeps: HashMap::new(),
            root: opened,
            folder,
        };
        kernel.modules = modules(&kernel.text("modules.dep")?);
        kernel.builtin = kernel.text("modules.builtin")?.lines().filter_map(module_of_file).collect();
        kernel.softdeps = softdeps(&kernel.text("modules.softdep")?);
        Ok(kernel)
    }

    /// A file of the index; empty when it is not there.
    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let content = self.root.read_as_is(&format!("{}/{name}", self.folder))?;
        Ok(content.map(|content| content.bytes).unwrap_or_default())
    }

    fn text(&self, name: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(name)?).into_owned())
    }

    /// Whether it is a loadable module of this kernel.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.contains_key(&underscored(name))
    }

    /// Whether it is built into this kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&underscored(name))
    }

    /// The `pre: … post: …` that modules.softdep has for a module.
    pub fn softdep(&self, name: &str) -> Option<&str> {
        self.softdeps.get(&underscored(name)).map(String::as_str)
    }

    /// All aliases of modules and of built-in parts: pattern and module.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn aliases(&self) -> Result<Vec<(String, String)>> {
        let text = self.text("modules.alias")?;
        let of_modules = text.lines().filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' '));
        let mut aliases: Vec<(String, String)> = of_modules.map(owned).collect();
        for record in self.bytes("modules.builtin.modinfo")?.split(|byte| *byte == 0) {
            if let Some((module, pattern)) = String::from_utf8_lossy(record).split_once(".alias=") {
                aliases.push((pattern.to_owned(), module.to_owned()));
            }
        }
        Ok(aliases)
    }
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

/// Modules by name, with their paths, from modules.dep.
fn modules(text: &str) -> HashMap<String, String> {
    let path = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    text.lines().map(path).filter_map(|path| Some((module_of_file(&path)?, path))).collect()
}

/// Where `lib/modules/RELEASE` is: below the root or, on a merged system's package, below its `/usr`. Without a
/// release: the running kernel's below `/`, else the only one there.
fn find(root: &Root, release: Option<&str>) -> Result<(&'static str, String)> {
    for prefix in ["", "/usr"] {
        let all = format!("{prefix}/lib/modules");
        let has_index = |release: &str| root.exists(&format!("{all}/{release}/modules.dep"));
        let releases: Vec<String> = match release {
            Some(release) => vec![release.to_owned()],
            None => root.list(&all),
        };
        let mut releases: Vec<String> = releases.into_iter().filter(|release| has_index(release)).collect();
        if let Some(running) = running(root).filter(|running| releases.contains(running)) {
            releases = vec![running];
        }
        match releases.len() {
            0 => {}
            1 => return Ok((prefix, releases.remove(0))),
            _ => return Err(Error::SeveralIndexes { root: root.path().to_owned(), releases }),
        }
    }
    Err(Error::NoIndex { release: release.map(str::to_owned), root: root.path().to_owned() })
}

/// The release of the kernel that runs, when the root is that of the running system.
fn running(root: &Root) -> Option<String> {
    if root.path() != Path::new("/") {
        return None;
    }
    nix::sys::utsname::uname().ok()?.release().to_str().map(str::to_owned)
}

fn softdeps(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("softdep ")) {
        if let Some((module, dependencies)) = line.split_once(' ')
            && (dependencies.contains("pre:") || dependencies.contains("post:"))
        {
            found.entry(underscored(module)).or_insert_with(|| dependencies.to_owned());
        }
    }
    found
}
