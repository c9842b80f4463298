//! Which module serves today in place of one of Linux 2.0/2.2.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{canonical, rows};
use crate::module_index::Kernel;

/// One row of `data/modules-then-and-now.tsv`.
#[derive(Debug)]
struct Row {
    old: &'static str,
    /// `None`: gone.
    today: Option<&'static str>,
    /// `module`, `builtin` or `no`: in Debian's 6.1.0-56-amd64, which the table was checked against.
    in_reference: &'static str,
    note: &'static str,
}

static ROWS: LazyLock<HashMap<String, Row>> = LazyLock::new(|| {
    rows(include_str!("../../data/modules-then-and-now.tsv"))
        .filter(|fields| fields[0] != "old")
        .map(|fields| {
            let today = (fields[3] != "gone").then_some(fields[3]);
            let note = fields.get(5).copied().unwrap_or_default();
            (canonical(fields[0]), Row { old: fields[0], today, in_reference: fields[4], note })
        })
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
    /// Nothing is known of it.
    Unknown,
}

/// What serves today for `old` when it is asked for as `request`.
pub fn today_for(request: &str, old: &str, kernel: Option<&Kernel>) -> Today {
    // 2.2's ppp is ppp_generic today, and its line discipline ppp_async
    today(if request == "tty-ldisc-3" && old == "ppp" { "ppp_async" } else { old }, kernel)
}

/// What serves today for `old`: by the kernel's own index where one is given, else by the table.
pub fn today(old: &str, kernel: Option<&Kernel>) -> Today {
    let row = ROWS.get(&canonical(old));
    let name = row.and_then(|row| row.today).unwrap_or(old);
    let renamed = row.is_some_and(|row| row.today.is_some_and(|today| canonical(today) != canonical(old)));
    let remark = |row: &Row| match (renamed, row.note) {
        (true, "") => format!("{old} is {name} today"),
        (true, note) => format!("{old} is {name} today: {note}"),
        (false, note) => note.to_owned(),
    };
    match (kernel, row) {
        (Some(kernel), _) if kernel.has_module(name) => {
            Today::Module { name: name.to_owned(), note: row.map(remark).unwrap_or_default() }
        }
        (Some(kernel), _) if kernel.is_builtin(name) => Today::Builtin { name: name.to_owned() },
        (Some(kernel), _) if renamed && kernel.has_module(old) => {
            Today::Module { name: old.to_owned(), note: String::new() }
        }
        (_, Some(Row { today: None, note, .. })) => Today::Gone {
            why: if note.is_empty() { "no kernel of today has it".to_owned() } else { (*note).to_owned() },
        },
        (Some(kernel), Some(row)) => {
            Today::Absent { name: name.to_owned(), why: absent(&kernel.release, row) }
        }
        (Some(_), None) | (None, None) => Today::Unknown,
        (None, Some(row)) => match row.in_reference {
            "module" => Today::Module { name: name.to_owned(), note: remark(row) },
            "builtin" => Today::Builtin { name: name.to_owned() },
            _ => Today::Absent { name: name.to_owned(), why: absent("6.1.0-56-amd64", row) },
        },
    }
}

fn absent(release: &str, row: &Row) -> String {
    let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
    format!("not in the kernel {release}{note}")
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

/// All old names in the table.
pub fn known() -> impl Iterator<Item = &'static str> {
    ROWS.values().map(|row| row.old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_answers_where_no_kernel_is_given() {
        assert_eq!(today("tulip", None), Today::Module { name: "tulip".into(), note: String::new() });
        assert!(matches!(today("rtl8139", None), Today::Module { name, .. } if name == "8139too"));
        assert!(matches!(today("serial", None), Today::Builtin { name } if name == "8250"));
        assert!(matches!(today("3c503", None), Today::Gone { .. }));
        assert!(matches!(today("ne", None), Today::Absent { .. }));
        assert_eq!(today("mycard", None), Today::Unknown);
        assert_eq!(known().count(), 304);
    }
}
