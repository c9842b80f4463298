//! The tables of names: whole, in order, and true to a real kernel's index.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use kerneld_kmod::underscored;
use kerneld_migrate::module_index::Kernel;
use kerneld_migrate::names::modules::{Today, today};

const TABLE: &str = include_str!("../data/modules-then-and-now.tsv");
const LINUX_2_4: &str = include_str!("names/linux-2.4-modules.txt");
const MODUTILS: &str = include_str!("../data/modutils-defaults.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn known() -> BTreeSet<String> {
    rows(TABLE).map(|row| underscored(row[0])).collect()
}

#[test]
fn the_table_is_in_order_and_says_everything() {
    const FATES: [&str; 7] = ["same", "renamed", "merged", "replaced", "builtin", "gone", "external"];
    let names: Vec<String> = rows(TABLE).map(|row| underscored(row[0])).collect();
    assert!(names.is_sorted() && known().len() == names.len(), "in order, and each name once");
    assert!(names.len() > 6_000);
    for row in rows(TABLE) {
        let [name, series, fate, today, in_reference, source, ..] = row[..] else { panic!("{row:?}") };
        assert!(FATES.contains(&fate) && !series.is_empty() && !source.is_empty(), "{row:?}");
        assert!(matches!(in_reference, "module" | "builtin" | "no" | "always" | "other" | "-"), "{row:?}");
        let nowhere = matches!(fate, "gone" | "external");
        assert_eq!(today == "-", nowhere, "{row:?}");
        assert!(!nowhere || row.len() > 6, "{name} is gone, and the reason is missing");
        let other_name = underscored(today) != underscored(name) && today != "=";
        assert_eq!(
            other_name && !nowhere,
            matches!(fate, "renamed" | "merged" | "replaced") || (fate == "builtin" && today != "="),
            "{row:?}"
        );
    }
}

#[test]
fn every_module_of_linux_2_4_has_a_row() {
    let known = known();
    let missing: Vec<&str> =
        rows(LINUX_2_4).map(|row| row[0]).filter(|name| !known.contains(&underscored(name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_module_of_modutils_table_has_a_row() {
    let known = known();
    let missing: Vec<&str> = rows(MODUTILS)
        .filter(|row| row[0] == "alias" && row[2] != "off")
        .map(|row| row[2])
        .filter(|name| !known.contains(&underscored(name)))
        .filter(|name| !rows(MODUTILS).any(|row| row[1] == *name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_names_of_today_are_in_the_kernel_of_reference() {
    let Some(root) = support::real_kernel() else { return };
    let kernel = Kernel::open(&root, None).expect("a kernel");
    let mut wrong = BTreeMap::new();
    for row in rows(TABLE) {
        let name = if row[3] == "=" { row[0] } else { row[3] };
        let found = match row[4] {
            "module" => kernel.has_module(name),
            "builtin" => kernel.is_builtin(name),
            "no" => !kernel.has_module(name) && !kernel.is_builtin(name),
            "other" => kernel.has_module(row[0]),
            _ => true,
        };
        if !found {
            wrong.insert(row[0], format!("{row:?}"));
        }
    }
    // a later build of 6.1 may have a module more or less
    let allowed = if kernel.release == "6.1.0-48-amd64" { 0 } else { 5 };
    assert!(!kernel.release.starts_with("6.1.") || wrong.len() <= allowed, "{wrong:#?}");
}

#[test]
fn the_kernel_at_hand_decides_before_the_table() {
    let Some(root) = support::real_kernel() else { return };
    let kernel = Kernel::open(&root, None).expect("a kernel");
    let is = |old: &str| today(old, Some(&kernel));
    for (old, name) in [
        ("lirc_serial", "serial_ir"),
        ("l2cap", "bluetooth"),
        ("sco", "bluetooth"),
        ("ohci1394", "firewire-ohci"),
        ("raw1394", "firewire-core"),
        ("qla2200", "qla2xxx"),
        ("cciss", "hpsa"),
        ("bcm5700", "tg3"),
        ("sk98lin", "skge"),
        ("ath_pci", "ath5k"),
        ("cs46xx", "snd-cs46xx"),
        ("btaudio", "snd-bt87x"),
        ("newtunnel", "ipip"),
        ("multiport", "xt_multiport"),
        ("snd-card-emu10k1", "snd-emu10k1"),
        ("snd-mixer", "snd"),
        ("hid", "usbhid"),
        ("eeprom", "eeprom"),
    ] {
        assert!(
            matches!(is(old), Today::Module { name: today, .. } if today == name),
            "{old}: {:?}",
            is(old)
        );
    }
    for old in ["hw_random", "input", "unix", "serial"] {
        assert!(matches!(is(old), Today::Builtin { .. }), "{old}: {:?}", is(old));
    }
    for old in ["nsc-ircc", "irda", "ircomm-tty", "iBCS", "cipher-idea", "devfs", "ipx", "ide-scsi", "cirrus"]
    {
        assert!(matches!(is(old), Today::Gone { .. }), "{old}: {:?}", is(old));
    }
    for old in ["ltmodem", "vmmon", "pctel", "nvidia"] {
        assert!(matches!(is(old), Today::External { .. }), "{old}: {:?}", is(old));
    }
    for old in ["sb", "ne", "3c509", "opl3sa2", "misc", "devpts"] {
        assert!(matches!(is(old), Today::Absent { .. }), "{old}: {:?}", is(old));
    }
    assert_eq!(is("mycard"), Today::Unknown);
}
