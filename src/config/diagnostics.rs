//! A mistake in the file, told so that it can be put right: file, line, what, and the nearest word.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file says something that it may not say.
    Mistake {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { file, error } => {
                write!(f, "cannot read the configuration {}: {error}", file.display())
            }
            ConfigError::Mistake { file, line, what } => write!(f, "{}:{line}: {what}", file.display()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// A mistake at byte `at` of the text.
    pub(crate) fn mistake(file: &Path, text: &str, at: usize, what: String) -> Self {
        let line = text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::Mistake { file: file.to_owned(), line, what }
    }
}

/// What the parser says, with the word that was meant.
pub(crate) fn mistake(error: &toml::de::Error, text: &str, file: &Path) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let message = error.message().trim_end().replace('\n', "; ");
    let hint = nearest(&message).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
    ConfigError::mistake(file, text, at, message + &hint)
}

/// The known word that is most like the unknown one. Both come from serde's own message, such as
/// "unknown field `modus`, expected `mode` or `group`": so there is no list to keep in step.
fn nearest(message: &str) -> Option<&str> {
    let (unknown, known) = message.strip_prefix("unknown ")?.rsplit_once(", expected ")?;
    let unknown = unknown.split_once('`')?.1.trim_end_matches('`');
    let likeness = |word: &str| strsim::jaro_winkler(&unknown.to_lowercase(), word);
    words(known).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// What stands between backticks.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_serde_names() {
        assert_eq!(nearest("unknown field `modus`, expected `group` or `mode`"), Some("mode"));
        assert_eq!(nearest("unknown field `Allow`, expected one of `x`, `deny`, `allow`"), Some("allow"));
        assert_eq!(nearest("unknown field `a`, expected `b`, expected `user`"), Some("user"));
        assert_eq!(nearest("missing field `argv`"), None);
    }
}
