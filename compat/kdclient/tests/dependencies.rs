//! A C program that links libkdclient gets no command-line parser and no tables with it.

use std::path::Path;
use toml::Table;

/// The libraries that the crate in this folder of `compat/` needs, those of its tests left out.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("Cargo.toml");
    let manifest: Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn the_library_needs_the_protocol_and_what_that_needs() {
    assert_eq!(dependencies("kdclient"), ["kerneld-protocol", "libc"]);
    for name in dependencies("protocol") {
        assert!(["libc", "log", "nix", "serde", "sysvmq", "thiserror"].contains(&name.as_str()), "{name}");
    }
}
