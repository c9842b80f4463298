//! The past: what kerneld (Linux 1.3.57-2.1.89) spoke, and the tools around it.
//!
//! * [`wire`]: the four layouts of a message, pure;
//! * [`request`]: the commands and their texts, typed;
//! * [`queue`]: the SysV message queue, the only place here that makes its system calls;
//! * [`sender`]: which process sent a request;
//! * [`journal`]: the record of every request and of what became of it;
//! * [`queue`]: the SysV message queue, the only place here that makes system calls;
//! * [`persist`]: what drivers had kerneld remember, and the file it is in;
//! * [`tool`]: what the command-line tools share;
//! * [`client`]: what the 2.0 kernel's `kerneld_send` did, for programs of today;
//! * [`kdrun`]: running an unmodified old program so that it finds the queue.

pub mod client;
pub mod journal;
pub mod kdrun;
pub mod persist;
pub mod queue;
pub mod request;
pub mod sender;
pub mod tool;
pub mod wire;
