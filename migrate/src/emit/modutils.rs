//! /etc/modules.conf for kernels 2.2 and 2.4.

use super::OutputFile;
use crate::account::Account;
use crate::discover::Found;
use crate::modules_conf::reader::Statement;
use crate::root::Root;

/// The files.
pub fn files(
    _root: &Root,
    _statements: &[Statement],
    _found: &Found,
    _release: Option<&str>,
    _account: &mut Account,
) -> Result<Vec<OutputFile>, String> {
    Ok(Vec::new())
}
