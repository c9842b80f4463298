//! The way from kerneld's configuration to kmod's: `conf.modules`, `modules.conf` and start-up lines become
//! modprobe.d, sysctl.d and modules-load.d, with every line accounted for.
//!
//! Text is read as modutils read it ([`modules_conf`]), what starts kerneld is found ([`discover`]), names are
//! put into their form of today ([`names`], [`kernel`]), files are made ([`emit`]), and the whole is a
//! [`plan::Plan`] with an [`account::Account`]. Nothing from the old configuration is ever run.
#![forbid(unsafe_code)]

pub mod account;
pub mod apply;
pub mod cli;
pub mod discover;
pub mod emit;
pub mod explain;
pub mod fleet;
pub mod kernel;
pub mod legacy;
pub mod modprobe;
pub mod modules_conf;
pub mod names;
pub mod plan;
pub mod report;
pub mod root;
mod scanner;
pub mod snippets;
pub mod state;
pub mod text;
pub mod verify;
