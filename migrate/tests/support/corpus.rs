//! Whole old systems with the marks of an expert.
//!
//! `corpus/NAME/` is the root of a system. `corpus/NAME.fates` holds its lines again, file by file (`@ FILE`), each
//! behind a mark: what an expert makes of it for Debian's 6.1 kernel on amd64. The marks are judgements; none was
//! taken over from the program.
//!
//! - `w(WORDS)`: rewritten, and the words are in the output lines that come from it (`KEY=VALUE` or a module)
//! - `d`: nothing is to be written for it
//! - `k`: decided either way, because the kernel has it itself or the line does nothing there
//! - `q`: a person has to decide
//! - `.`: nothing to decide (comments, and what has nothing to do with modules); `+`: belongs to another line

use std::path::{Path, PathBuf};

use super::copy;

/// A line with its mark.
pub struct Judged {
    /// The file, as an absolute path below the root.
    pub file: String,
    /// Its number in the file, from 1.
    pub number: usize,
    /// What an expert makes of it.
    pub mark: char,
    /// What is in the output of it.
    pub words: Vec<String>,
    /// The line.
    pub text: String,
}

/// The folder of all systems.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// The names of all systems.
pub fn systems() -> Vec<String> {
    let entries =
        std::fs::read_dir(corpus()).expect("the corpus").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> =
        entries.filter_map(|name| name.to_str()?.strip_suffix(".fates").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The lines of a system.
pub fn judged(system: &str) -> Vec<Judged> {
    let text = std::fs::read_to_string(corpus().join(format!("{system}.fates"))).expect("the fates");
    let (mut file, mut number) = (String::new(), 0);
    let mut all = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("@ ") {
            (file, number) = (name.to_owned(), 0);
            continue;
        }
        number += 1;
        let (margin, text) = match line[1..].strip_prefix('(') {
            Some(rest) => rest.split_once(") ").expect("words in parentheses"),
            None => ("", line[1..].strip_prefix(' ').unwrap_or_default()),
        };
        let words = margin.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let mark = line.chars().next().expect("a mark");
        all.push(Judged { file: file.clone(), number, mark, words, text: text.to_owned() });
    }
    all
}

/// A copy of a system in a temporary folder.
pub fn copy_of(system: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary folder");
    copy(&corpus().join(system), directory.path());
    directory
}
