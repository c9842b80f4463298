//! Files of the old system, line by line, each line entered into the account.

use std::sync::Arc;

use super::bytes::from_bytes;
use super::lines::{Logical, logical_lines};
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::root::Root;

/// A logical line of a file: comments cut, continuations joined.
pub(crate) struct InputLine {
    /// Its place in the account; `None` for a line that does not concern us or that a person has to look at.
    pub id: Option<LineId>,
    /// Its text.
    pub text: String,
}

/// Reads a file; the lines that `concerns` picks are entered into the account. No lines: there is no such file.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn lines(
    root: &Root,
    path: &str,
    account: &mut Account,
    concerns: impl Fn(&str) -> bool,
) -> Result<Vec<InputLine>> {
    let Some(content) = root.read(path)? else { return Ok(Vec::new()) };
    let name: Arc<str> = path.into();
    let text = from_bytes(&content.bytes);
    let mut lines = Vec::new();
    for logical in logical_lines(&text) {
        account.check_size(path)?;
        let id = concerns(&logical.text).then(|| enter(account, &name, &logical));
        let id = id.filter(|id| is_sound(*id, path, content.foreign.as_deref(), &logical, account));
        lines.push(InputLine { id, text: logical.text });
    }
    Ok(lines)
}

/// Whether a line can be trusted and read; a question where not.
fn is_sound(id: LineId, path: &str, foreign: Option<&str>, logical: &Logical, account: &mut Account) -> bool {
    match (foreign, &logical.defect) {
        (Some(why), _) => {
            account.needs_attention(id, Kind::Untrusted, format!("{path} cannot be trusted: {why}"));
        }
        (None, Some(why)) => account.needs_attention(id, Kind::Unreadable, why.clone()),
        (None, None) => return true,
    }
    false
}

/// Enters the physical lines of a logical line; returns the first that says something.
pub(crate) fn enter(account: &mut Account, file: &Arc<str>, logical: &Logical) -> LineId {
    let mut first = None;
    for physical in &logical.physical {
        if first.is_some() && !physical.says_something() {
            continue;
        }
        let id = account.add(file, physical.number, physical.text);
        match first {
            Some(first) => {
                let why = format!("continues line {}", account.line(first).number);
                account.shares(id, first, why);
            }
            None => {
                account.comment(id, &logical.comments);
                first = Some(id);
            }
        }
    }
    first.expect("a logical line has at least one physical line")
}
