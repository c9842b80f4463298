//! Why nothing could be compared or measured.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A failure, in words for the person who asked. That two sides differ is none: it is in the report.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    Read {
        /// What it is, with its article: `the scenario`.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// A file says something that cannot be.
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1, where it is in one.
        line: Option<u64>,
        /// What is wrong.
        why: String,
    },
    /// A folder holds no scenario.
    NoScenario(PathBuf),
    /// The journal in this state directory holds no request to replay.
    NoRequest(PathBuf),
    /// A pattern that cannot be understood.
    Pattern {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A side did not start, stopped answering, or could not take a step of a scenario: a sentence that holds
    /// what it said itself.
    Side(String),
    /// The report cannot be written in this format: a sentence.
    Report(String),
}

impl Error {
    /// What is wrong in `text`, the contents of `file`, at this byte.
    pub(crate) fn wrong_at(
        file: impl Into<PathBuf>,
        text: &str,
        offset: usize,
        why: impl Into<String>,
    ) -> Self {
        let line = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::Wrong { file: file.into(), line: Some(line), why: why.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { what, path, why } => write!(f, "cannot read {what} {}: {why}", path.display()),
            Error::Wrong { file, line: Some(line), why } => write!(f, "{}:{line}: {why}", file.display()),
            Error::Wrong { file, line: None, why } => write!(f, "{}: {why}", file.display()),
            Error::NoScenario(folder) => write!(f, "{} holds no scenario (*.toml)", folder.display()),
            Error::NoRequest(dir) => write!(f, "the journal in {} holds no request", dir.display()),
            Error::Pattern { text, why } => write!(f, "pattern {text:?}: {why}"),
            Error::Side(why) | Error::Report(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { why, .. } => Some(why),
            _ => None,
        }
    }
}

/// The sentence.
impl From<Error> for String {
    fn from(error: Error) -> String {
        error.to_string()
    }
}
