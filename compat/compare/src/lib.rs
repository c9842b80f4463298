//! Old against new, request by request: scenarios are run on the old kerneld (or a model of it) and on
//! the new one, and what others can see of both is compared.
//!
//! * [`scenario`]: the timeline, read from a file; [`plan`]: how helpers behave in it;
//! * [`trace`]: the same, read from a journal;
//! * [`world`]: taking the steps; [`model_world`] in virtual time, [`live`] in real time;
//! * [`model`]: the old kerneld; [`ours`]: the new one; [`old`]: a real old one; [`recorder`]: the helpers of both;
//! * [`process`]: what /proc says of them;
//! * [`observe`]: what was seen; [`mod@compare`]: both side by side; [`differences`]: what may differ, and why;
//! * [`bench`]: how fast both are;
//! * [`suite`]: all scenarios; [`output`]: the report.
#![forbid(unsafe_code)]

pub mod bench;
pub mod cli;
pub mod compare;
pub mod differences;
pub mod live;
pub mod model;
pub mod model_world;
pub mod observe;
pub mod old;
pub mod ours;
pub mod output;
pub mod pattern;
pub mod plan;
pub mod process;
pub mod recorder;
pub mod role;
pub mod scenario;
pub mod stage;
pub mod subject;
pub mod suite;
pub mod trace;
pub mod world;
