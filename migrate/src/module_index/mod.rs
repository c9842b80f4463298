//! A target kernel's own facts: which modules it has, which aliases, which parameters.

mod aliases;
mod kernel;
mod modinfo;

pub use kernel::Kernel;
pub(crate) use modinfo::Suits;
