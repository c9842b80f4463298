//! Writes the completions of every program into the folder given, or packaging/completions.
#![forbid(unsafe_code)]

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    for program in kerneld_completions::programs() {
        for shell in kerneld_completions::SHELLS {
            let (name, text) = kerneld_completions::completion(&program, shell);
            std::fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}
