//! A target kernel's own index of modules: `lib/modules/RELEASE/modules.*`, as depmod writes it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use kerneld_kmod::{module_of_file, underscored};

use super::aliases::Aliases;
use super::modinfo::Parameters;
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
    dependencies: HashMap<String, Vec<String>>,
    builtin: HashSet<String>,
    softdeps: HashMap<String, String>,
    root: Root,
    folder: String,
    aliases: OnceLock<Aliases>,
    parameters: Mutex<HashMap<String, Option<Arc<Parameters>>>>,
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
            dependencies: HashMap::new(),
            builtin: HashSet::new(),
            softdeps: HashMap::new(),
            root: opened,
            folder,
            aliases: OnceLock::new(),
            parameters: Mutex::default(),
        };
        let text = kernel.text("modules.dep")?;
        kernel.modules = modules(&text);
        kernel.dependencies = dependencies(&text);
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

    /// The parameters that a module takes, loadable or built in; `None` when its file cannot be read.
    pub(crate) fn parameters(&self, module: &str) -> Option<Arc<Parameters>> {
        let name = underscored(module);
        let known = |all: &mut HashMap<String, Option<Arc<Parameters>>>| all.get(&name).cloned();
        if let Some(known) = known(&mut self.parameters.lock().expect("no thread panics while it holds this"))
        {
            return known;
        }
        let read = self.read_parameters(&name).map(Arc::new);
        let mut all = self.parameters.lock().expect("no thread panics while it holds this");
        all.entry(name).or_insert(read).clone()
    }

    fn read_parameters(&self, name: &str) -> Option<Parameters> {
        match self.modules.get(name) {
            Some(path) => {
                let bytes = self.root.read_module(&format!("{}/{path}", self.folder)).ok()?;
                Parameters::of_file(path, &bytes).ok()
            }
            None => {
                let records = self.bytes("modules.builtin.modinfo").ok().filter(|bytes| !bytes.is_empty())?;
                self.is_builtin(name).then(|| Parameters::of_builtin(name, &records))
            }
        }
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

    /// The kernel's own aliases; none where its index cannot be read.
    pub(crate) fn aliases(&self) -> &Aliases {
        self.aliases.get_or_init(|| {
            let text = self.text("modules.alias").unwrap_or_default();
            Aliases::read(&text, &self.bytes("modules.builtin.modinfo").unwrap_or_default())
        })
    }

    /// How many modules need another one.
    pub(crate) fn dependents(&self, module: &str) -> usize {
        let module = underscored(module);
        self.dependencies.values().filter(|needed| needed.contains(&module)).count()
    }

    /// Whether loading one of two modules loads the other too, or they are one.
    pub(crate) fn loads_with(&self, a: &str, b: &str) -> bool {
        let (a, b) = (underscored(a), underscored(b));
        let needs = |module: &str, other: &String| {
            self.dependencies.get(module).is_some_and(|needed| needed.contains(other))
        };
        a == b || needs(&a, &b) || needs(&b, &a)
    }
}

/// Modules by name, with their paths, from modules.dep.
fn modules(text: &str) -> HashMap<String, String> {
    let path = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    text.lines().map(path).filter_map(|path| Some((module_of_file(&path)?, path))).collect()
}

/// What each module needs, as modules.dep lists it: whole, not only the next.
fn dependencies(text: &str) -> HashMap<String, Vec<String>> {
    let line = |line: &str| {
        let (path, needed) = line.split_once(':')?;
        let needed: Vec<String> = needed.split_whitespace().filter_map(module_of_file).collect();
        Some((module_of_file(path)?, needed)).filter(|(_, needed)| !needed.is_empty())
    };
    text.lines().filter_map(line).collect()
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
