//! Which module serves today in place of one of Linux 2.0 to 2.6 or of a package of that time.

use std::collections::HashMap;
use std::sync::LazyLock;

use kerneld_kmod::underscored;

use super::rows;
use crate::module_index::Kernel;

/// The release whose index the table was checked against.
const REFERENCE: &str = "6.1.0-48-amd64";

/// Of what no kernel has as a module and every kernel has in itself.
const ALWAYS: &str = "always part of the kernel";

/// What became of a module, as `data/modules-then-and-now.tsv` explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Same,
    Renamed,
    Merged,
    Replaced,
    Builtin,
    Gone,
    External,
}

/// One row of `data/modules-then-and-now.tsv`.
#[derive(Debug)]
struct Row {
    old: &'static str,
    /// The series of kernels that had it, such as `2.2-2.6`; `-` for a package's module.
    series: &'static str,
    fate: Fate,
    /// Today's name; the old one where there is no other.
    today: &'static str,
    /// `module`, `builtin`, `no` or `other`: what the kernel of reference has.
    in_reference: &'static str,
    note: &'static str,
}

impl Row {
    fn parse(fields: &[&'static str]) -> Row {
        let fate = match fields[2] {
            "same" => Fate::Same,
            "renamed" => Fate::Renamed,
            "merged" => Fate::Merged,
            "replaced" => Fate::Replaced,
            "builtin" => Fate::Builtin,
            "external" => Fate::External,
            _ => Fate::Gone,
        };
        let today = if matches!(fields[3], "=" | "-") { fields[0] } else { fields[3] };
        let note = fields.get(6).copied().unwrap_or_default();
        Row { old: fields[0], series: fields[1], fate, today, in_reference: fields[4], note }
    }

    fn has_new_name(&self) -> bool {
        underscored(self.today) != underscored(self.old)
    }

    /// What is worth saying where today's module takes the place of the old one.
    fn remark(&self) -> String {
        let (old, today) = (self.old, self.today);
        let remark = match self.fate {
            _ if !self.has_new_name() => String::new(),
            Fate::Replaced => format!("{today} serves in place of {old} today"),
            Fate::Merged => format!("{old} is part of {today} today"),
            _ => format!("{old} is {today} today"),
        };
        match (remark.as_str(), self.note) {
            ("", note) => note.to_owned(),
            (_, "") => remark,
            (_, note) => format!("{remark}: {note}"),
        }
    }

    fn absent_from(&self, release: &str) -> Today {
        let note = if self.note.is_empty() { String::new() } else { format!(" ({})", self.note) };
        let why = format!("not in the kernel {release}{}{note}", self.where_it_would_be());
        Today::Absent { name: self.today.to_owned(), why }
    }

    fn where_it_would_be(&self) -> String {
        let new_name = self.has_new_name().then_some(self.today);
        new_name.map(|today| format!(", where it would be {today}")).unwrap_or_default()
    }
}

static ROWS: LazyLock<HashMap<String, Row>> = LazyLock::new(|| {
    rows(include_str!("../../data/modules-then-and-now.tsv"))
        .map(|fields| (underscored(fields[0]), Row::parse(&fields)))
        .collect()
});

/// What is there today for an old module name.
#[allow(missing_docs)] // the variants say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Today {
    /// A loadable module. With a remark when that is worth one.
    Module { name: String, note: String },
    /// Part of the kernel itself.
    Builtin { name: String },
    /// No kernel has it any more.
    Gone { why: String },
    /// It exists, but not in the kernel at hand.
    Absent { name: String, why: String },
    /// It was never in the kernel and is somebody's own affair today.
    External { why: String },
    /// Nothing is known of it.
    Unknown,
}

/// What serves today for `old` when it is asked for as `request`.
pub fn today_for(request: &str, old: &str, kernel: Option<&Kernel>) -> Today {
    // 2.2's ppp is ppp_generic today, and its line discipline ppp_async
    today(if request == "tty-ldisc-3" && old == "ppp" { "ppp_async" } else { old }, kernel)
}

/// What serves today for `old`: by the kernel's own index where one is given, then by the table.
pub fn today(old: &str, kernel: Option<&Kernel>) -> Today {
    let row = ROWS.get(&underscored(old));
    match (kernel, row) {
        (Some(kernel), Some(row)) => in_kernel(row, kernel)
            .or_else(|| by_alias(old, kernel).filter(|_| row.in_reference != "other"))
            .unwrap_or_else(|| by_table(row, Some(kernel))),
        (Some(kernel), None) => {
            find(old, kernel, String::new()).or_else(|| by_alias(old, kernel)).unwrap_or(Today::Unknown)
        }
        (None, Some(row)) => by_table(row, None),
        (None, None) => Today::Unknown,
    }
}

/// What the kernel's index has for a row. The old name comes first where another driver took over: a kernel that
/// still has the old driver is to use it.
fn in_kernel(row: &Row, kernel: &Kernel) -> Option<Today> {
    let today = || find(row.today, kernel, row.remark()).filter(|_| row.has_new_name());
    let old = || find(row.old, kernel, row.note.to_owned()).filter(|_| row.in_reference != "other");
    if row.fate == Fate::Replaced { old().or_else(today) } else { today().or_else(old) }
}

fn find(name: &str, kernel: &Kernel, note: String) -> Option<Today> {
    if kernel.has_module(name) {
        Some(Today::Module { name: name.to_owned(), note })
    } else {
        kernel.is_builtin(name).then(|| Today::Builtin { name: name.to_owned() })
    }
}

/// The module that the kernel itself loads for an old module's name.
fn by_alias(old: &str, kernel: &Kernel) -> Option<Today> {
    let module = *kernel.aliases().answer(old).first()?;
    find(module, kernel, format!("the kernel answers {old} with {module}"))
}

/// What the table says of a row, for a kernel that has neither name or for no kernel at all.
fn by_table(row: &Row, kernel: Option<&Kernel>) -> Today {
    match row.fate {
        Fate::Gone => Today::Gone { why: why_gone(row) },
        Fate::External => Today::External { why: row.note.to_owned() },
        Fate::Builtin if row.in_reference == "always" => {
            Today::Absent { name: row.today.to_owned(), why: ALWAYS.to_owned() }
        }
        _ => match (kernel, row.in_reference) {
            (Some(kernel), _) => row.absent_from(&kernel.release),
            (None, "module") => Today::Module { name: row.today.to_owned(), note: row.remark() },
            (None, "builtin") => Today::Builtin { name: row.today.to_owned() },
            (None, _) => row.absent_from(REFERENCE),
        },
    }
}

fn why_gone(row: &Row) -> String {
    if row.note.is_empty() { "no kernel of today has it".to_owned() } else { row.note.to_owned() }
}

/// Whether another driver serves today in place of an old module: one to which the old parameters mean nothing.
pub fn is_another_driver(old: &str) -> bool {
    ROWS.get(&underscored(old)).is_some_and(|row| row.fate == Fate::Replaced)
}

/// Whether a module is one of ALSA's: their parameters lost a `snd_` before their names after ALSA 0.5.
pub fn is_of_alsa(old: &str) -> bool {
    old == "snd" || old.starts_with("snd-") || old.starts_with("snd_")
}

/// The target that an alias has under kernels 2.2 (`false`) or 2.4 (`true`), where its module's name changed.
pub fn under_modutils(alias: &str, old: &str, kernel_2_4: bool) -> Option<&'static str> {
    match (alias, old, kernel_2_4) {
        (_, "ide-probe", true) => Some("ide-probe-mod"),
        // the core of OSS; the module `sound` stays beside it
        ("char-major-14", "sound", _) => Some("soundcore"),
        ("tty-ldisc-3", "ppp", true) => Some("ppp_async"),
        ("tty-ldisc-14", "ppp", true) => Some("ppp_synctty"),
        (_, "ppp", true) => Some("ppp_generic"),
        (_, "new_tunnel", _) => Some("ipip"),
        _ => None,
    }
}

/// All module names of Linux 2.0 and 2.2, by which programs of kerneld's time ask.
pub fn of_kernelds_time() -> impl Iterator<Item = &'static str> {
    ROWS.values()
        .filter(|row| row.series.starts_with("2.0") || row.series.starts_with("2.2"))
        .map(|row| row.old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(old: &str) -> Row {
        let table = include_str!("../../data/modules-then-and-now.tsv");
        let line = table.lines().find(|line| line.starts_with(&format!("{old}\t"))).unwrap();
        Row::parse(&line.split('\t').collect::<Vec<_>>())
    }

    #[test]
    fn the_table_answers_where_no_kernel_is_given() {
        assert_eq!(today("tulip", None), Today::Module { name: "tulip".into(), note: String::new() });
        assert!(matches!(today("rtl8139", None), Today::Module { name, .. } if name == "8139too"));
        assert!(matches!(today("serial", None), Today::Builtin { name } if name == "8250"));
        assert!(matches!(today("3c503", None), Today::Gone { .. }));
        assert!(matches!(today("ne", None), Today::Absent { .. }));
        assert!(matches!(today("vmmon", None), Today::External { .. }));
        assert_eq!(today("mycard", None), Today::Unknown);
    }

    #[test]
    fn a_row_says_whether_it_is_still_the_same_driver() {
        for (old, remark) in [
            ("lirc_serial", "lirc_serial is serial_ir today"),
            ("l2cap", "l2cap is part of bluetooth today"),
            ("i810_rng", "i810_rng is intel-rng today"),
            ("bcm5700", "tg3 serves in place of bcm5700 today"),
        ] {
            assert_eq!(row(old).remark(), remark);
        }
        assert!(is_another_driver("eepro100") && is_another_driver("ide-cd") && is_another_driver("sb"));
        assert!(
            !is_another_driver("lirc_serial") && !is_another_driver("tulip") && !is_another_driver("mycard")
        );
    }
}
