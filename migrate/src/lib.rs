//! The way from kerneld's configuration to kmod's: `conf.modules`, `modules.conf` and start-up lines become
//! modprobe.d, sysctl.d and modules-load.d, with every line accounted for.
//!
//! Text is read as modutils read it (`old::modules_conf`), what starts kerneld is found (`old::discover`), names are
//! put into their form of today ([`names`], [`module_index`]), files are made ([`new`]), and the whole is a
//! [`plan::Plan`] with an [`account::Account`]. Nothing from the old configuration is ever run.
#![forbid(unsafe_code)]

pub mod account;
pub mod apply;
mod cli;
pub mod error;
mod legacy_names;
pub mod module_index;
pub mod names;
pub mod new;
pub mod old;
pub mod plan;
pub mod report;
pub mod root;
mod site;
pub mod verify;

pub use cli::{command, run};
