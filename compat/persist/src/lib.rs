//! Persistent storage: what drivers asked kerneld to remember with `set_persist` and `get_persist`.
//!
//! * [`ints`]: values as people write them, pure;
//! * [`record`]: the two requests' texts, pure;
//! * [`store`]: the pairs in their file, a GDBM database as kerneld's `persist.gdbm` was;
//! * [`replace`]: a file gets new contents whole or not at all.

pub mod ints;
pub mod record;
pub mod replace;
pub mod store;

pub use record::{Change, Key, parse_get, parse_set};
pub use store::{Store, StoreError};

/// Where the pairs are unless the admin says otherwise. kerneld had them in
/// `/lib/modules/RELEASE/persist.gdbm`, where a new kernel began with none (modutils 2.4).
pub const DEFAULT_FILE: &str = "/var/lib/kerneld/persist.gdbm";
