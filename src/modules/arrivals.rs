//! Finds out which modules a load brought in: those that `/proc/modules` shows after it and did not show
//! before.
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
