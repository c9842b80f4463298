//! Files to write: lines that know the input lines they come from.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::account::{Account, LineId, OutputPlace};
use crate::old::bytes::for_display;

/// One line to write.
#[derive(Clone, Debug, Default)]
pub struct OutputLine {
    /// The text, without the line end.
    pub text: String,
    /// The input lines that it comes from; empty for headings and for lines that were there before.
    pub from: Vec<LineId>,
}

/// One file to write.
#[derive(Clone, Debug)]
pub struct OutputFile {
    /// Path below the root, with a leading slash.
    pub path: String,
    /// Its lines.
    pub lines: Vec<OutputLine>,
}

impl OutputFile {
    /// The file's bytes.
    pub fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for line in &self.lines {
            content.extend(crate::old::bytes::to_bytes(&line.text));
            content.push(b'\n');
        }
        content
    }

    /// A new file: a heading, and before each line a comment that names the lines it comes from, with what the user
    /// wrote about them.
    pub fn with_origins(path: &str, heading: &str, lines: Vec<OutputLine>, account: &Account) -> OutputFile {
        let plain = |text: String| OutputLine { text, from: Vec::new() };
        let mut out: Vec<OutputLine> = heading.lines().map(|text| plain(format!("# {text}"))).collect();
        let mut origin = String::new();
        let mut told = HashSet::new();
        for line in lines {
            let from = origins(&line.from, account);
            if !from.is_empty() && from != origin {
                out.push(plain(format!("# from {from}")));
            }
            let untold = line.from.iter().filter(|id| told.insert(**id));
            out.extend(untold.flat_map(|id| &account.line(*id).comments).map(|text| plain(comment(text))));
            origin = from;
            out.push(line);
        }
        OutputFile { path: path.to_owned(), lines: out }
    }

    /// Enters the origin of each line into the account.
    pub fn link(&self, account: &mut Account) {
        let file: Arc<str> = self.path.as_str().into();
        for (index, line) in self.lines.iter().enumerate() {
            for from in &line.from {
                account.link(
                    *from,
                    OutputPlace { file: file.clone(), line: index + 1, live: !line.text.starts_with("# ") },
                );
            }
        }
    }
}

/// `/etc/conf.modules:3,7 /etc/modules:2`, at most a few of them.
fn origins(lines: &[LineId], account: &Account) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    let mut file: Option<Arc<str>> = None;
    for id in lines.iter().take(SHOWN) {
        let line = account.line(*id);
        if file.as_ref() == Some(&line.file) {
            let _ = write!(text, ",{}", line.number);
        } else {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{}:{}", for_display(&line.file), line.number);
            file = Some(line.file.clone());
        }
    }
    if lines.len() > SHOWN {
        let _ = write!(text, " and {} more", lines.len() - SHOWN);
    }
    text
}

/// A comment that kmod takes as one: from column 1 on, in one line, not ending in a backslash.
pub fn comment(text: &str) -> String {
    let line: String = for_display(text).chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    let line = line.trim_end();
    if line.ends_with('\\') { format!("# {line} .") } else { format!("# {line}") }
}
