//! The names by which kernels ask for modules, then and now.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::rows;

#[derive(Debug)]
struct Row {
    old: &'static str,
    today: Vec<&'static str>,
    modutils: &'static str,
    note: &'static str,
}

/// The rows of `data/requests-then-and-now.tsv`.
struct Table {
    /// Those of one name.
    named: HashMap<&'static str, Row>,
    /// Those of a form with numbers or text in it, in their order.
    forms: Vec<Row>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = rows(include_str!("../../data/requests-then-and-now.tsv")).map(|fields| Row {
        old: fields[0],
        today: fields[1].split(' ').filter(|name| *name != "-").collect(),
        modutils: fields[2],
        note: fields.get(3).copied().unwrap_or_default(),
    });
    let (named, forms): (Vec<Row>, Vec<Row>) = rows.partition(|row| !row.old.contains('%'));
    Table { named: named.into_iter().map(|row| (row.old, row)).collect(), forms }
});

/// The row of a name, and what stands for the numbers and the text of its form.
fn row(name: &str) -> Option<(&'static Row, Vec<&str>)> {
    let named = TABLE.named.get(name).or_else(|| of_device(name));
    named
        .map(|row| (row, Vec::new()))
        .or_else(|| TABLE.forms.iter().find_map(|row| Some((row, matches(row.old, name)?))))
}

/// What is said of the number of a device that is asked for with its minor.
fn of_device(name: &str) -> Option<&'static Row> {
    let (number, minor) = name.rsplit_once('-').filter(|(number, _)| number.contains("-major-"))?;
    let is_minor = minor.bytes().all(|byte| byte.is_ascii_digit());
    TABLE.named.get(number).filter(|row| is_minor && row.old != "char-major-10")
}

static FILE_SYSTEMS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| names(include_str!("../../data/filesystems.txt")));
static INTERFACES: LazyLock<HashSet<&str>> =
    LazyLock::new(|| names(include_str!("../../data/interfaces.txt")));

fn names(list: &'static str) -> HashSet<&'static str> {
    list.lines().filter(|line| !line.starts_with('#')).collect()
}

/// How an old request name reaches modprobe today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The names that today's kernels ask for; `*` at the end stands for any text.
    pub today: Vec<String>,
    /// What changed, when that is worth a remark.
    pub note: String,
}

impl Request {
    /// Today's names and the old one, which programs of that time still send: each name once.
    pub fn all(&self, old: &str) -> Vec<String> {
        let mut all = self.today.clone();
        if !all.iter().any(|name| name == old) {
            all.push(old.to_owned());
        }
        all
    }
}

/// Whether this is the name of a file system type of that time.
pub fn is_file_system(name: &str) -> bool {
    FILE_SYSTEMS.contains(name)
}

/// Interfaces of which 2.0 had one, without a number (`drivers/net`).
const WITHOUT_NUMBER: [&str; 3] = ["eql", "dummy", "bif"];

/// Whether this is the name of a network interface of that time.
pub fn is_interface(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    WITHOUT_NUMBER.contains(&name) || stem.len() < name.len() && INTERFACES.contains(stem)
}

/// Whether kernels asked for this name once and none does today.
pub fn is_dead(name: &str) -> bool {
    name.starts_with('/') || row(name).is_some_and(|(row, _)| row.today.is_empty())
}

/// What today's kernels ask for in place of `old`.
pub fn today(old: &str) -> Request {
    if let Some((row, captures)) = row(old) {
        let today: Vec<String> = row.today.iter().map(|form| fill(form, &captures)).collect();
        let note = match (today.is_empty(), row.note) {
            (true, "") => format!("no kernel asks for {old} today"),
            (true, note) => format!("no kernel asks for {old} today: {note}"),
            (false, note) => note.to_owned(),
        };
        return Request { today, note };
    }
    let today = if is_file_system(old) {
        vec![format!("fs-{}", old.split('.').next().unwrap_or(old))]
    } else if is_interface(old) {
        vec![format!("netdev-{old}")]
    } else {
        Vec::new()
    };
    Request { today, note: String::new() }
}

/// The names that kernels 2.2 (`false`) or 2.4 (`true`) ask for in place of `old`; none: it is gone, and why.
///
/// # Errors
/// Why it is gone.
pub fn under_modutils(old: &str, kernel_2_4: bool) -> Result<Vec<String>, &'static str> {
    let same = Ok(vec![old.to_owned()]);
    let Some((row, _)) = row(old) else { return same };
    let (names, series) = row.modutils.split_once('@').unwrap_or((row.modutils, ""));
    let applies = matches!((series, kernel_2_4), ("", _) | ("2.2", false) | ("2.4", true));
    match names {
        "=" => same,
        _ if !applies => same,
        "-" | "" => Err(row.note),
        names => Ok(names.split(' ').map(str::to_owned).collect()),
    }
}

/// Matches `%d` (digits), `%x` (four hexadecimal digits, as the kernel's `%04x` of two bytes) and a final `%s` (anything) against a name.
fn matches<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut captures = Vec::new();
    let mut pieces = pattern.split('%');
    let mut rest = name.strip_prefix(pieces.next()?)?;
    for piece in pieces {
        let length = match piece.as_bytes()[0] {
            b'd' => rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()),
            b'x' => {
                rest.bytes().take(4).filter(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count() / 4 * 4
            }
            _ => rest.len(),
        };
        if length == 0 {
            return None;
        }
        captures.push(&rest[..length]);
        rest = rest[length..].strip_prefix(&piece[1..])?;
    }
    rest.is_empty().then_some(captures)
}

fn fill(form: &str, captures: &[&str]) -> String {
    let mut captures = captures.iter();
    let mut pieces = form.split('%');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        filled.push_str(captures.next().copied().unwrap_or_default());
        filled.push_str(&piece[1..]);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_into_todays_form() {
        for (old, new) in [
            ("iso9660", "fs-iso9660"),
            ("eth0", "netdev-eth0"),
            ("dummy", "netdev-dummy"),
            ("ltalk0", "netdev-ltalk0"),
            ("bond0", "netdev-bond0"),
            ("tun3", "netdev-tun3"),
            ("ath0", "netdev-ath0"),
            ("ipsec1", "netdev-ipsec1"),
            ("hfsplus", "fs-hfsplus"),
            ("char-major-14", "char-major-14-*"),
            ("block-major-8", "block-major-8-*"),
            ("char-major-10-135", "char-major-10-135"),
            ("net-pf-5", "net-pf-5"),
            ("md-personality-1", "md-level--1 md-linear"),
            ("nfsd", "fs-nfsd"),
            ("char-major-10", ""),
            ("netalias-2", ""),
            ("scsi_hostadapter1", ""),
            ("binfmt--310", ""),
            ("binfmt-204", ""),
            ("binfmt-12345", ""),
            ("binfmt-12FE", ""),
            ("binfmt-1234", "binfmt-1234"),
            ("binfmt-beba", "binfmt-beba"),
            ("whatever", ""),
            ("eth", ""),
        ] {
            assert_eq!(today(old).today.join(" "), new, "{old}");
        }
        assert_eq!(today("eth0").all("eth0"), ["netdev-eth0", "eth0"]);
        assert_eq!(today("net-pf-5").all("net-pf-5"), ["net-pf-5"]);
    }

    #[test]
    fn some_names_are_asked_for_no_more() {
        for name in [
            "cipher-1",
            "irda-dongle-3",
            "usb-controller1",
            "js0",
            "mixer0",
            "scsi_hostadapter2",
            "/dev/sound",
            "char-major-10",
            "block-major-104",
            "block-major-22-64",
            "ieee1394-controller",
        ] {
            assert!(is_dead(name), "{name}");
        }
        for name in
            ["eth0", "char-major-14", "net-pf-4", "snd-card-0", "isofs", "jsm", "whatever", "sound-slot-0"]
        {
            assert!(!is_dead(name), "{name}");
        }
    }

    #[test]
    fn kernels_2_2_and_2_4_differ_where_they_did() {
        assert_eq!(under_modutils("ide-probe", true), Ok(vec!["ide-probe-mod".into()]));
        assert_eq!(under_modutils("ide-probe", false), Ok(vec!["ide-probe".into()]));
        assert!(under_modutils("rarp", true).is_err());
        assert!(under_modutils("rarp", false).is_ok());
        assert!(under_modutils("netalias-2", false).is_err());
        assert_eq!(under_modutils("eth0", true), Ok(vec!["eth0".into()]));
        assert_eq!(under_modutils("binfmt--310", true), Ok(vec!["binfmt-beba".into()]));
    }
}
