//! The target system's own modprobe.d: every file that kmod reads there, in kmod's order.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::old::bytes::from_bytes;
use crate::root::Root;

/// Where kmod looks, in the order in which a file hides those of the same name (kmod 30 to 34; older releases lack
/// some of them).
const FOLDERS: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// libkmod's version in its file's name, and the release of kmod that it came with.
const RELEASES: [(&str, u32); 16] = [
    ("2.2.9", 19),
    ("2.2.11", 20),
    ("2.3.0", 21),
    ("2.3.1", 23),
    ("2.3.2", 24),
    ("2.3.3", 25),
    ("2.3.4", 26),
    ("2.3.5", 27),
    ("2.3.6", 28),
    ("2.3.7", 29),
    ("2.4.0", 30),
    ("2.4.1", 31),
    ("2.4.2", 32),
    ("2.5.0", 33),
    ("2.5.1", 34),
    ("2.5.2", 35),
];

/// kmod 33 stopped reading `*.alias`.
const LAST_WITH_ALIAS_FILES: u32 = 32;

/// One line of a file in modprobe.d.
#[derive(Clone, Debug)]
pub(crate) struct SiteLine {
    /// `FILE:LINE`, or the kernel's command line.
    pub place: String,
    /// The line, continuations joined.
    pub text: String,
}

impl SiteLine {
    /// The words of the line.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.text.split_whitespace().collect()
    }
}

/// A file in modprobe.d.
#[derive(Clone, Debug)]
pub(crate) struct SiteFile {
    /// Its name without the folder; files are read in the order of these.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its lines that say something.
    pub lines: Vec<SiteLine>,
}

/// The target system's modprobe.d.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    /// The files that are in force, in order, without ours.
    pub files: Vec<SiteFile>,
    /// What the kernel's command line says, when the root is that of the running system.
    pub command_line: Vec<SiteLine>,
    /// Remarks about files that look like configuration and are not read.
    pub notes: Vec<String>,
}

impl Site {
    /// Reads all of a root's modprobe.d but the files named in `ours`.
    ///
    /// # Errors
    /// When a file in it cannot be read.
    pub(crate) fn read(root: &Root, ours: &[&str]) -> Result<Site> {
        let kmod = release(root);
        let mut notes = Vec::new();
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in FOLDERS {
            for name in root.list(folder) {
                if is_read(&name, kmod) {
                    found.entry(name.clone()).or_insert_with(|| format!("{folder}/{name}"));
                } else if name.ends_with(".alias") {
                    let which = kmod.map_or("of 33 and later".to_owned(), |release| release.to_string());
                    notes.push(format!(
                        "{folder}/{name} is not read by kmod {which}: its name has to end in .conf"
                    ));
                }
            }
        }
        let mut files = Vec::new();
        for (name, path) in found.into_iter().filter(|(_, path)| !ours.contains(&path.as_str())) {
            // a link to /dev/null hides the files of its name
            let is_regular = root.metadata(&path).is_ok_and(|metadata| metadata.is_file());
            let content = if is_regular { root.read(&path)? } else { None };
            let bytes = content.map(|content| content.bytes).unwrap_or_default();
            let lines = lines(&path, &from_bytes(&bytes));
            files.push(SiteFile { name, bytes, lines });
        }
        Ok(Site { files, command_line: command_line(root), notes })
    }

    /// Every line, in the order in which kmod meets them.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &SiteLine> {
        self.files.iter().flat_map(|file| &file.lines).chain(&self.command_line)
    }
}

fn is_read(name: &str, kmod: Option<u32>) -> bool {
    let has_alias_files = kmod.is_some_and(|release| release <= LAST_WITH_ALIAS_FILES);
    !name.starts_with('.') && (name.ends_with(".conf") || has_alias_files && name.ends_with(".alias"))
}

/// kmod joins a line that ends in a backslash with the next one, and knows comments in column 1 only.
fn lines(path: &str, text: &str) -> Vec<SiteLine> {
    let mut found = Vec::new();
    let mut numbered = text.lines().enumerate();
    while let Some((index, first)) = numbered.next() {
        let mut line = first.to_owned();
        while let Some(part) = line.strip_suffix('\\') {
            let next = numbered.next().map_or("", |(_, next)| next);
            line = format!("{part}{next}");
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            found.push(SiteLine { place: format!("{path}:{}", index + 1), text: line });
        }
    }
    found
}

/// `MODULE.PARAMETER=VALUE` and `modprobe.blacklist=A,B` of the running kernel, as lines of modprobe.d.
fn command_line(root: &Root) -> Vec<SiteLine> {
    if root.path() != std::path::Path::new("/") {
        return Vec::new();
    }
    let text = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    text.split_whitespace().flat_map(command_line_word).map(at_boot).collect()
}

fn at_boot(text: String) -> SiteLine {
    SiteLine { place: "the kernel's command line".to_owned(), text }
}

fn command_line_word(word: &str) -> Vec<String> {
    if let Some(names) = word.strip_prefix("modprobe.blacklist=") {
        return names.split(',').map(|name| format!("blacklist {name}")).collect();
    }
    let parameter = word.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
    parameter.map(|((module, key), value)| format!("options {module} {key}={value}")).into_iter().collect()
}

/// kmod's release in a root, by the name of its library.
fn release(root: &Root) -> Option<u32> {
    let libraries = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
    let machines = libraries.iter().flat_map(|folder| {
        let inner = root.list(folder).into_iter().filter(|name| name.contains("-linux-"));
        let inner: Vec<String> = inner.map(|name| format!("{folder}/{name}")).collect();
        inner.into_iter().chain([(*folder).to_owned()])
    });
    let versions = machines.flat_map(|folder| root.list(&folder));
    let versions = versions.filter_map(|name| name.strip_prefix("libkmod.so.").map(str::to_owned));
    versions.filter_map(|version| RELEASES.iter().find(|(known, _)| *known == version)).map(|(_, n)| *n).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_hide_others_of_their_name_and_sort_by_it() {
        let tree = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("etc/modprobe.d/b.conf", "alias a etc\n  # no comment\n");
        put("run/modprobe.d/b.conf", "alias a run\n");
        put("lib/modprobe.d/a.conf", "# c\noptions x \\\n  y=1\n");
        put("usr/lib/modprobe.d/off.conf", "alias gone gone\n");
        put("lib/modprobe.d/readme.txt", "alias t t\n");
        put("lib/modprobe.d/old.alias", "alias o o\n");
        put("etc/modprobe.d/ours.conf", "alias u u\n");
        symlink("/dev/null", tree.path().join("etc/modprobe.d/off.conf")).unwrap();
        let read = || {
            let root = Root::open(tree.path()).unwrap();
            let site = Site::read(&root, &["/etc/modprobe.d/ours.conf"]).unwrap();
            site.lines().map(|line| format!("{} {}", line.place, line.words().join(" "))).collect::<Vec<_>>()
        };
        let known = [
            "/lib/modprobe.d/a.conf:2 options x y=1",
            "/etc/modprobe.d/b.conf:1 alias a etc",
            "/etc/modprobe.d/b.conf:2 # no comment",
        ];
        assert_eq!(read(), known);
        // kmod 30 reads files of aliases too
        put("usr/lib/x86_64-linux-gnu/libkmod.so.2.4.0", "");
        assert_eq!(read().len(), known.len() + 1);
    }

    #[test]
    fn words_of_the_command_line_are_lines() {
        assert_eq!(command_line_word("modprobe.blacklist=a,b"), ["blacklist a", "blacklist b"]);
        assert_eq!(command_line_word("snd.cards_limit=2"), ["options snd cards_limit=2"]);
        assert!(command_line_word("root=/dev/sda1").is_empty() && command_line_word("quiet").is_empty());
    }
}
