//! The old configuration, read exactly as modutils 2.0 to 2.4 read it: text → lines → directives → meaning.

pub(crate) mod condition;
pub(crate) mod defaults;
pub(crate) mod directive;
pub(crate) mod meaning;
pub(crate) mod reader;
pub(crate) mod resolve;
pub(crate) mod words;

pub use directive::{CommandKind, ListKind};
pub use meaning::{Given, Meaning};
pub use resolve::End;
