//! Learns which modules a load helper brought in: what `/proc/modules` has after it and had not before,
//! as far as modprobe says that the request names them.
#![forbid(unsafe_code)]

use crate::modules::kernel::{Kernel, Listing};
use std::collections::BTreeMap;
use std::io;

/// Modules that arrived, with their [`Kernel::identity`].
pub(crate) type Arrivals = BTreeMap<String, u64>;

/// What has been loaded since `before`, by whomever.
///
/// # Errors
/// As [`Kernel::listing`].
pub(crate) fn since(before: &Listing, kernel: &Kernel) -> io::Result<Arrivals> {
    let known = |name: String| kernel.identity(&name).map(|identity| (name, identity));
    Ok(kernel.listing()?.since(before).into_iter().filter_map(known).collect())
}
