//! The whole way: discover, read, translate, account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::account::Account;
use crate::apply::{self, open_old_system};
use crate::error::{Error, Result};
use crate::module_index::Kernel;
use crate::new::output::OutputFile;
use crate::new::{daemon, modprobe_d, modutils};
use crate::old::discover::{Found, discover};
use crate::old::modules_conf::Meaning;
use crate::old::modules_conf::condition::State;
use crate::old::modules_conf::reader::{Reader, Statement, Undecided};
use crate::old::snippets;
use crate::root::Root;
use crate::site::Site;

/// Which kernels the result is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// Today's kernels and kmod.
    #[default]
    Kmod,
    /// Today's kernels and busybox's modprobe, which knows aliases, options and blacklists alone.
    Busybox,
    /// Kernels 2.2 and 2.4 and modutils.
    Modutils,
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The old system's root directory.
    pub root: PathBuf,
    /// The configuration file below the root; else the one that modutils chooses.
    pub config: Option<String>,
    /// Which kernels the result is for.
    pub target: Target,
    /// The target kernel's release.
    pub kernel: Option<String>,
    /// A directory that holds the target kernel's `lib/modules/RELEASE`.
    pub kernel_root: Option<PathBuf>,
    /// What is stated about the running system.
    pub state: State,
}

/// A plan for one root.
#[derive(Debug)]
pub struct Plan {
    /// The old system.
    pub root: Root,
    /// The kernels that the plan is for.
    pub target: Target,
    /// Every input line with its fate.
    pub account: Account,
    /// The files to write, in order of their paths.
    pub files: Vec<OutputFile>,
    /// What the old configuration means.
    pub meaning: Meaning,
    /// What starts kerneld and loads modules.
    pub found: Found,
    /// The target kernel's index, when there is one.
    pub kernel: Option<Arc<Kernel>>,
    /// The target system's own modprobe.d.
    pub(crate) site: Site,
    /// Remarks about the system as a whole.
    pub notes: Vec<String>,
}

impl Plan {
    /// Makes the plan. Nothing is written.
    ///
    /// # Errors
    /// When the root, its configuration or the kernel that was named cannot be read.
    pub fn make(request: &Request) -> Result<Plan> {
        Plan::make_for(request, kernel(request)?.map(Arc::new))
    }

    /// Makes the plan for a kernel that is open already.
    pub(crate) fn make_for(request: &Request, kernel: Option<Arc<Kernel>>) -> Result<Plan> {
        let root = open_old_system(&request.root)?;
        // conditions are answered for a kernel that was named, not for one that happens to run
        let named = kernel.as_ref().filter(|_| request.kernel_root.is_some());
        let release = request.kernel.as_deref().or(named.map(|kernel| kernel.release.as_str()));
        let (mut account, mut notes) = (Account::default(), Vec::new());
        let statements = read(&root, request, release, &mut account, &mut notes)?;
        let found = discover(&root, &mut account)?;
        let site = match request.target {
            Target::Kmod | Target::Busybox => Site::read(&root, &[modprobe_d::EARLY, modprobe_d::LATE])?,
            Target::Modutils => Site::default(),
        };
        notes.extend(found.notes.iter().cloned());
        notes.extend(site.notes.iter().cloned());
        let (meaning, mut files) = match request.target {
            Target::Kmod | Target::Busybox => {
                let meaning = Meaning::of(&statements, &mut account);
                drop(statements);
                let mut files = modprobe_d::files(
                    (&root, &site),
                    request.target == Target::Busybox,
                    &meaning,
                    &found.loaded,
                    kernel.as_deref(),
                    &mut account,
                );
                files.extend(daemon::files(&root, &found, &meaning, &mut account));
                (meaning, files)
            }
            Target::Modutils => {
                let files = modutils::files(&root, &statements, &found, release, &mut account)?;
                (Meaning::default(), files)
            }
        };
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.iter().for_each(|file| file.link(&mut account));
        account.finish();
        Ok(Plan { root, target: request.target, account, files, meaning, found, kernel, site, notes })
    }

    /// Puts the planned files in place.
    ///
    /// # Errors
    /// Those of [`apply::apply`].
    pub fn apply(&self, observer: &mut apply::Observer) -> Result<apply::Outcome> {
        apply::apply(&self.root, &self.files, observer)
    }
}

/// Reads the configuration: the file that modutils chooses with what it includes, else the snippets.
fn read(
    root: &Root,
    request: &Request,
    release: Option<&str>,
    account: &mut Account,
    notes: &mut Vec<String>,
) -> Result<Vec<Statement>> {
    let undecided = match request.target {
        Target::Kmod | Target::Busybox => Undecided::Evaluate,
        Target::Modutils => Undecided::Keep,
    };
    let mut reader = Reader::new(root, release, &request.state, undecided, account);
    let config = choose(root, request.config.as_deref(), notes)?;
    match &config {
        Some(config) => drop(reader.file(config)?),
        None => snippets::read_in_place(root, &mut reader)?,
    }
    let statements = reader.finish();
    if let Some(config) = &config {
        snippets::account_for(root, config, account)?;
    }
    Ok(statements)
}

/// The target kernel's index: asked for by directory, or found in the root when a release is named.
pub(crate) fn kernel(request: &Request) -> Result<Option<Kernel>> {
    match (&request.kernel_root, &request.kernel) {
        (Some(root), release) => Kernel::open(root, release.as_deref()).map(Some),
        _ if request.target == Target::Modutils => Ok(None),
        (None, Some(release)) => Ok(Kernel::open(&request.root, Some(release)).ok()),
        // migrated where it runs: the index of the running kernel, if there is one
        (None, None) if request.root == Path::new("/") => Ok(Kernel::open(&request.root, None).ok()),
        (None, None) => Ok(None),
    }
}

/// The file that modutils reads: the one it is told, /etc/modules.conf, or /etc/conf.modules.
fn choose(root: &Root, told: Option<&str>, notes: &mut Vec<String>) -> Result<Option<String>> {
    if let Some(path) = told {
        return if root.exists(path) {
            Ok(Some(path.to_owned()))
        } else {
            Err(Error::Missing { path: path.to_owned() })
        };
    }
    let (new, old) = ("/etc/modules.conf", "/etc/conf.modules");
    let (new_content, old_content) = (root.read(new)?, root.read(old)?);
    Ok(match (new_content, old_content) {
        (Some(new_content), Some(old_content)) => {
            if new_content.bytes != old_content.bytes {
                notes.push(format!("{old} differs from {new}: modutils reads {new} and ignores the other"));
            }
            Some(new.to_owned())
        }
        (Some(_), None) => Some(new.to_owned()),
        (None, Some(_)) => Some(old.to_owned()),
        (None, None) => {
            notes.push(format!("there is neither {new} nor {old}"));
            None
        }
    })
}
