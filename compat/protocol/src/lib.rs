//! What kerneld (Linux 1.3.57-2.1.89) spoke.
//!
//! * [`wire`]: the eight layouts of a message, pure;
//! * [`waiting`]: for which answers programs wait, which decides where a message's bytes do not;
//! * [`request`]: the commands and their texts, typed;
//! * [`queue`]: the SysV message queue, the only place here that makes its system calls;
//! * [`sender`]: which process sent a request;
//! * [`kdstat`]: the text that answers kdstat, written and read;
//! * [`number`]: numbers as C read them;
//! * [`client`]: what the 2.0 kernel's `kerneld_send` did, for programs of today;
//! * [`defaults`]: where the queue and the daemon's state are, unless an option says otherwise.

pub mod client;
pub mod defaults;
pub mod kdstat;
pub mod number;
pub mod queue;
pub mod request;
pub mod sender;
pub mod waiting;
pub mod wire;
