//! The files of modprobe.d and modules-load.d, whole.

use super::busybox;
use super::conflicts::settle;
use super::lines::Writer;
use crate::account::Account;
use crate::module_index::Kernel;
use crate::new::output::{OutputFile, OutputLine};
use crate::old::discover::Loaded;
use crate::old::modules_conf::Meaning;
use crate::root::Root;
use crate::site::Site;

/// The early file of modprobe.d: of several install, remove or softdep lines for a name the first counts, and
/// softdep lines must sort before the kernel's own `modules.softdep`.
pub const EARLY: &str = "/etc/modprobe.d/00-kerneld-migrated.conf";
/// The late file of modprobe.d: of several values of an option the last counts.
pub const LATE: &str = "/etc/modprobe.d/zz-kerneld-migrated.conf";

/// Modules to load at boot, one name a line.
pub const MODULES_LOAD: &str = "/etc/modules-load.d/kerneld-migrated.conf";

const SORTS_EARLY: &str =
    "Written by kerneld-migrate: the first line for a name counts, so this file sorts early.";
const SORTS_LATE: &str =
    "Written by kerneld-migrate: the last value of an option counts, so this file sorts late.";
const LOADED_BY_NAME: &str =
    "Written by kerneld-migrate: modules that the old system loaded by name at boot.";

/// The files of modprobe.d and modules-load.d.
pub(crate) fn files(
    system: (&Root, &Site),
    for_busybox: bool,
    meaning: &Meaning,
    loaded: &[Loaded],
    kernel: Option<&Kernel>,
    account: &mut Account,
) -> Vec<OutputFile> {
    let (mut out, mut boot) = {
        let mut writer = Writer::new(system.0, meaning, kernel, account);
        writer.all();
        let boot = writer.boot(loaded);
        (writer.out, boot)
    };
    settle(&mut out, &mut boot, system.1, account);
    if for_busybox {
        busybox::limit(&mut out, account);
    }
    let joined = |lists: Vec<Vec<OutputLine>>| lists.into_iter().flatten().collect::<Vec<_>>();
    let early = joined(vec![out.commands, out.softdeps]);
    let late = joined(vec![out.aliases, out.module_options, out.alias_options]);
    [(EARLY, SORTS_EARLY, early), (LATE, SORTS_LATE, late), (MODULES_LOAD, LOADED_BY_NAME, boot)]
        .into_iter()
        .filter(|(_, _, lines)| !lines.is_empty())
        .map(|(path, heading, lines)| OutputFile::with_origins(path, heading, lines, account))
        .collect()
}
