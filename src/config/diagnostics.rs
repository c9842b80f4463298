//! A mistake in the file, reported so that it can be put right: file, line, what, and the nearest word.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Range;
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
    /// The line of a mistake; 0 for a file that cannot be read.
    pub(crate) fn line(&self) -> usize {
        match self {
            ConfigError::Mistake { line, .. } => *line,
            ConfigError::Unreadable { .. } => 0,
        }
    }

    /// A mistake at byte `at` of the text.
    pub(crate) fn mistake(file: &Path, text: &str, at: usize, what: String) -> Self {
        let line = line_number(text, at);
        ConfigError::Mistake { file: file.to_owned(), line, what }
    }
}

/// The line that byte `at` of the text is in, counted from 1.
pub(crate) fn line_number(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What the parser says, with the word that was meant, or what to write instead.
pub(crate) fn mistake(error: &toml::de::Error, text: &str, file: &Path) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let message = error.message().trim_end().replace('\n', "; ");
    let advised =
        advice(line_at(text, at)).or_else(|| nearest(&message).map(|word| format!("did you mean `{word}`?")));
    let hint = advised.map(|advice| format!("; {advice}")).unwrap_or_default();
    ConfigError::mistake(file, text, at, message + &hint)
}

fn line_at(text: &str, at: usize) -> &str {
    let (start, end) = lines_around(text, at..at);
    text.get(start..end).unwrap_or_default().trim()
}

/// The bytes of the whole lines that `span` lies in, without the last one's end.
fn lines_around(text: &str, span: Range<usize>) -> (usize, usize) {
    let bytes = text.as_bytes();
    let (start, last) =
        (span.start.min(bytes.len()), span.end.saturating_sub(1).max(span.start).min(bytes.len()));
    let before = bytes[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let after = bytes[last..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| last + at);
    (before, after.max(before))
}

/// Puts blanks in place of the lines of a mistake, and of the whole table where its name is the mistake, so that all
/// others keep their places; false if there is nothing to leave out any more.
pub(crate) fn blank(text: &mut String, span: Range<usize>) -> bool {
    let (start, mut end) = lines_around(text, span);
    if text[start..end].trim_start().starts_with('[') {
        end = text[end..].find("\n[").map_or(text.len(), |at| end + at);
    }
    let blanked: String =
        text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    let changed = blanked != text[start..end];
    text.replace_range(start..end, &blanked);
    changed
}

/// What to write in place of a line that is often written so.
fn advice(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match key {
        "mode" if digits => Some(format!("write it in quotes: mode = \"{value}\"")),
        "[system]" => Some("write [[system]], since there may be several".to_owned()),
        "allow" | "deny" | "argv" if value.starts_with('"') => {
            Some(format!("write a list: {key} = [{value}]"))
        }
        _ => None,
    }
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
