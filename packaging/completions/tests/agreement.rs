//! Every program's arguments, its manual page and its completions agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Command;
use kerneld_completions::{SHELLS, completion, options, programs};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(program: &Command) -> String {
    let sections = ["1", "8"].map(|section| top().join(format!("docs/man/{}.{section}", program.get_name())));
    let found = sections.into_iter().find_map(|path| std::fs::read_to_string(path).ok());
    found.unwrap_or_else(|| panic!("{} has no manual page", program.get_name()))
}

/// The options that a page in mdoc names: `Fl r`, `Fl -key`, more than one in a line, and long ones in plain text.
fn documented(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in page.lines() {
        let words: Vec<&str> = line.split([' ', '=', ',']).collect();
        for pair in words.windows(2).filter(|pair| matches!(pair[0], "Fl" | ".Fl")) {
            found.insert(format!("-{}", pair[1].trim_matches(['"', '.', ';', ')'])));
        }
        let plain = line.replace("\\-", "-");
        let plain = plain.split([' ', '=', ',', '[', ']', '(', ')', '"', '.', ';', '|', '\'']);
        found.extend(plain.filter(|word| word.starts_with("--")).map(str::to_owned));
    }
    found
}

#[test]
fn manual_pages_name_every_option_and_no_other() {
    let mut told = Vec::new();
    for program in programs() {
        let (page, name) = (page(&program), program.get_name().to_owned());
        let documented = documented(&page);
        let options = options(&program);
        told.extend(options.difference(&documented).map(|option| format!("{name}: the page lacks {option}")));
        let long = documented.iter().filter(|option| option.starts_with("--") && option.len() > 2);
        let known = |option: &str| options.contains(option) || FOREIGN.contains(&option);
        told.extend(
            long.filter(|option| !known(option)).map(|option| format!("{name}: there is no {option}")),
        );
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Options that pages mention: every program's, and those of other programs.
const FOREIGN: &[&str] = &["--help", "--version"];

#[test]
fn the_stored_completions_are_those_of_the_arguments() {
    for program in programs() {
        for shell in SHELLS {
            let (name, text) = completion(&program, shell);
            let stored = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap_or_default();
            assert!(stored == text, "{name} is out of date: run `cargo run -p kerneld-completions`");
        }
    }
}

#[test]
fn every_program_says_its_own_name_and_version() {
    for program in programs() {
        let said = program.clone().render_version();
        assert_eq!(said, format!("{} {}\n", program.get_name(), env!("CARGO_PKG_VERSION")));
    }
}
