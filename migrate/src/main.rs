//! `kerneld-migrate`: the way from kerneld's configuration to kmod's.
#![forbid(unsafe_code)]

use clap::Parser;

/// Turns kerneld's old configuration (conf.modules, start-up lines) into kmod's.
///
/// So far this program only describes itself: reading and writing configuration comes next.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() {
    Arguments::parse();
}
