//! Old against new, request by request: scenarios are run on the old kerneld (or a model of it) and on
//! the new one, and what others can see of both is compared.
//!
//! * [`scenario`]: the timeline, read from a file or from a journal;
//! * [`world`]: taking the steps, in virtual time on the model or in real time on a daemon;
//! * [`model`]: the old kerneld;
//! * [`subject`]: what can be compared: the model, a real old kerneld, ours;
//! * [`observe`]: what was seen, [`left`] on the queue too;
//! * [`cell_name`]: what each thing that was seen is called;
//! * [`verdict`]: both sides side by side, what may differ and why, all scenarios, the report;
//! * [`mod@bench`]: how fast both are;
//! * [`error`]: why nothing could be compared.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cell_name;
pub mod cli;
pub mod error;
pub mod left;
pub mod model;
pub mod observe;
pub mod pattern;
pub mod role;
pub mod scenario;
pub mod subject;
pub mod verdict;
pub mod world;
