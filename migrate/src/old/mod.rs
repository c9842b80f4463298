//! What the old system says: its files, read as its own programs read them.

pub mod bytes;
pub(crate) mod discover;
mod input;
pub(crate) mod lines;
pub(crate) mod modules_conf;
pub(crate) mod remembered;
mod scanner;
pub(crate) mod shell;
pub(crate) mod snippets;
