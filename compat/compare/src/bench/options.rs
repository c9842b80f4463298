//! What a run of the benchmark is told.
#![forbid(unsafe_code)]

use kerneld_protocol::wire::Layout;
use std::path::PathBuf;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The new kerneld.
    pub new: PathBuf,
    /// An old one, and the layout that it is asked in.
    pub old: Option<(PathBuf, Layout)>,
    /// Clients at once.
    pub clients: usize,
    /// Requests of each workload and subject, in all rounds together.
    pub requests: usize,
    /// How often subjects take turns.
    pub rounds: usize,
    /// Delayed releases that wait in the last workload.
    pub waiting: usize,
    /// The helper; a do-nothing program if none.
    pub helper: Option<PathBuf>,
}
