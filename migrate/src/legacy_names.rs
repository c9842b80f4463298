//! `legacy-names`: aliases by which a request in an old name still finds today's module.

use kerneld_kmod::underscored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::Result;
use crate::module_index::Kernel;
use crate::names::modules::{self, Today};
use crate::names::requests;
use crate::new::output::{OutputFile, OutputLine, comment};
use crate::old::modules_conf::defaults;

/// Where the aliases belong: after what an admin wrote, whose aliases count by being the only ones for a name.
pub const PATH: &str = "/etc/modprobe.d/zy-kerneld-legacy-names.conf";

/// Makes the file for the kernel below `root`.
///
/// # Errors
/// When its module index cannot be read.
pub fn file(root: &Path, release: Option<&str>) -> Result<OutputFile> {
    let kernel = Kernel::open(root, release)?;
    let found = candidates(&kernel);
    let mut lines: Vec<String> = vec![
        format!("# Written by kerneld-migrate legacy-names for the kernel {}:", kernel.release),
        "# names that programs of Linux 2.0 ask for, and the modules that serve them today.".to_owned(),
    ];
    for (name, modules) in &found {
        match modules.iter().collect::<Vec<_>>()[..] {
            _ if kernel.has_module(name) || kernel.is_builtin(name) => {}
            [] => lines.push(format!("install {name} /bin/true")),
            [module] => lines.push(format!("alias {name} {module}")),
            ref several => {
                let several: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                lines.push(comment(&format!("ambiguous: {name} could be {}", several.join(", "))));
            }
        }
    }
    let lines = lines.into_iter().map(|text| OutputLine { text, from: Vec::new() }).collect();
    Ok(OutputFile { path: PATH.to_owned(), lines })
}

/// Old names, each with the modules that could be meant; none: the name was off.
type Candidates = BTreeMap<String, BTreeSet<String>>;

/// Old names with the modules that could be meant; no module: the name was off. Names that the index answers
/// by itself are not among them.
fn candidates(kernel: &Kernel) -> Candidates {
    let aliases = kernel.aliases().all();
    let answered: BTreeSet<&str> = aliases.iter().map(|(pattern, _)| pattern.as_str()).collect();
    let mut found = of_index(aliases);
    for (name, target) in defaults::aliases() {
        add_default(name, defaults::alias(target).unwrap_or(target), kernel, &mut found);
    }
    for old in modules::of_kernelds_time() {
        if let Today::Module { name, .. } | Today::Builtin { name } = modules::today(old, Some(kernel)) {
            found.entry(old.to_owned()).or_insert_with(|| BTreeSet::from([underscored(&name)]));
        }
    }
    found.retain(|name, _| !answered.contains(name.as_str()));
    found
}

/// Old names of what the kernel's index answers.
fn of_index(aliases: &[(String, String)]) -> Candidates {
    let mut found = Candidates::new();
    let mut whole = Candidates::new();
    for (pattern, module) in aliases {
        for old in old_names(pattern) {
            let map = if pattern.ends_with("-*") { &mut whole } else { &mut found };
            map.entry(old).or_default().insert(module.clone());
        }
    }
    // a module that has every minor of a device number has the number
    found.extend(whole);
    found
}

/// What modutils assumed for a name without being told.
fn add_default(name: &str, target: &str, kernel: &Kernel, found: &mut Candidates) {
    if target == "off" {
        // success without a module is for names that no kernel of today asks for
        if !requests::today(name).today.iter().any(|today| today == name) {
            found.entry(name.to_owned()).or_default();
        }
        return;
    }
    if let Today::Module { name: today, .. } | Today::Builtin { name: today } =
        modules::today(target, Some(kernel))
    {
        let today = underscored(&today);
        let modules = found.entry(name.to_owned()).or_default();
        // the old table decides between several modules when it names one of them
        if modules.is_empty() || modules.contains(&today) {
            *modules = BTreeSet::from([today]);
        }
    }
}

/// The old names for a request that today's index answers.
fn old_names(pattern: &str) -> Vec<String> {
    if let Some(name) = pattern.strip_prefix("fs-") {
        return if requests::is_file_system(name) { vec![name.to_owned()] } else { Vec::new() };
    }
    if let Some(name) = pattern.strip_prefix("netdev-") {
        return if name.contains(['*', '?', '[']) { Vec::new() } else { vec![name.to_owned()] };
    }
    for kind in ["char-major-", "block-major-"] {
        let Some((major, minor)) = pattern.strip_prefix(kind).and_then(|numbers| numbers.split_once('-'))
        else {
            continue;
        };
        let is_number = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        // the misc driver's minors are asked for one by one, then as now
        if is_number && !(kind == "char-major-" && major == "10") && !minor.is_empty() {
            return vec![format!("{kind}{major}")];
        }
    }
    personality(pattern).into_iter().collect()
}

fn personality(pattern: &str) -> Option<String> {
    let number = match pattern {
        "md-level--1" => "1",
        "md-level-0" => "2",
        "md-level-1" => "3",
        "md-level-5" => "4",
        _ => return None,
    };
    Some(format!("md-personality-{number}"))
}
