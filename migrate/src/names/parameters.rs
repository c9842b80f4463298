//! Module parameters that changed their name or went away.

use std::collections::HashMap;
use std::sync::LazyLock;

use kerneld_kmod::underscored;

use super::{modules, rows};

/// Module and parameter → today's name and a note.
type Rows = HashMap<(String, &'static str), (&'static str, &'static str)>;

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    rows(include_str!("../../data/parameters-then-and-now.tsv"))
        .map(|fields| {
            ((underscored(fields[0]), fields[1]), (fields[2], fields.get(3).copied().unwrap_or_default()))
        })
        .collect()
});

/// What becomes of a parameter of an old module.
#[allow(missing_docs)] // the variants say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// It has the same name.
    Same,
    /// It has another name.
    Renamed(String),
    /// It belongs to another module, under this name.
    Moved { module: &'static str, name: &'static str },
    /// It is gone, and why.
    Gone(&'static str),
}

/// What becomes of parameter `name` of the old module `module`.
pub fn today(module: &str, name: &str) -> Parameter {
    let key = underscored(module);
    let row = ROWS.get(&(key.clone(), name)).or_else(|| ROWS.get(&(key, "*")));
    match row {
        None if name.starts_with("snd_") && modules::is_of_alsa(module) => {
            Parameter::Renamed(name["snd_".len()..].to_owned())
        }
        None if modules::is_another_driver(module) => {
            Parameter::Gone("another driver serves today, to which it means nothing")
        }
        None => Parameter::Same,
        Some(("-", note)) => Parameter::Gone(if note.is_empty() { "the parameter is gone" } else { note }),
        Some((today, _)) => match today.split_once(':') {
            Some((module, name)) => Parameter::Moved { module, name },
            None if *today == name => Parameter::Same,
            None => Parameter::Renamed((*today).to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_move_with_their_modules() {
        assert_eq!(today("ne2k-pci", "options"), Parameter::Same);
        assert_eq!(today("tulip", "debug"), Parameter::Renamed("tulip_debug".to_owned()));
        assert_eq!(today("snd-card-ens1371", "snd_index"), Parameter::Renamed("index".to_owned()));
        assert!(matches!(today("snd", "snd_device_mode"), Parameter::Gone(_)));
        assert_eq!(
            today("ip_masq_ftp", "ports"),
            Parameter::Moved { module: "nf_conntrack_ftp", name: "ports" }
        );
        assert!(matches!(today("eepro100", "full_duplex"), Parameter::Gone(_)));
        assert_eq!(today("eepro100", "debug"), Parameter::Same);
        assert!(matches!(today("opl3", "io"), Parameter::Gone(_)), "ALSA's driver of the chip has its own");
        assert_eq!(today("lirc_serial", "irq"), Parameter::Same);
    }
}
