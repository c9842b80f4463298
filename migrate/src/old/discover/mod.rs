//! What in an old system starts kerneld, loads modules by hand or cleans them up.

mod crontab;
mod found;
mod nesting;
mod script;
mod settings;
mod walk;

pub use crontab::ROOTS as CRONTABS;
pub use found::{Found, Loaded, Start};
pub use walk::discover;
