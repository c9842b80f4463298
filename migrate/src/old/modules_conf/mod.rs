//! The old configuration, read exactly as modutils 2.0 to 2.4 read it: text → lines → directives → meaning.

pub mod condition;
pub mod defaults;
pub mod directive;
pub mod lines;
pub mod meaning;
pub mod reader;
pub mod resolve;
pub mod words;

pub use directive::{CommandKind, ListKind};
pub use meaning::{Given, Meaning};
pub use resolve::{End, Resolved};
