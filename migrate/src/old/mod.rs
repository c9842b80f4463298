//! What the old system says: its files, read as its own programs read them.

pub mod bytes;
pub mod discover;
mod input;
pub mod modules_conf;
pub mod root;
mod scanner;
pub mod shell;
pub mod snippets;
