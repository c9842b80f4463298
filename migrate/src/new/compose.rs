//! Commands as parts of one longer line of modprobe.d.

use crate::old::shell::{self, Simple, parse};

/// A command as a part of a longer line: grouped when it is more than one simple command, in a subshell when
/// it would change the shell that the rest of the line runs in, and given to a shell of its own, as `system()` did,
/// when its syntax could break the line.
pub fn part(text: &str) -> String {
    let parsed = match parse(text) {
        Ok(parsed) if parsed.plain => parsed,
        _ => return format!("/bin/sh -c {}", shell::quote(text)),
    };
    let first = |simple: &Simple| simple.first().and_then(|word| word.value.clone()).unwrap_or_default();
    let changes_shell = parsed.commands.iter().any(|simple| {
        let word = first(simple);
        word.contains('=')
            || matches!(
                word.as_str(),
                "" | "exit" | "exec" | "cd" | "set" | "trap" | "return" | "export" | "umask" | "ulimit" | "."
            )
    });
    if changes_shell || parsed.terminated {
        format!("( {text} )")
    } else if parsed.compound {
        format!("{{ {text}; }}")
    } else {
        text.to_owned()
    }
}

/// Joins the parts of an install or remove line: each must succeed before the next is tried.
pub fn chain(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(" && ")
}

/// The text as modprobe.d holds it: kmod takes one level of backslashes away.
pub fn written(text: &str) -> String {
    text.replace('\\', r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_for_themselves() {
        assert_eq!(part("/bin/true -x >/dev/null 2>&1"), "/bin/true -x >/dev/null 2>&1");
        assert_eq!(part("a || :"), "{ a || :; }");
        assert_eq!(part("a &"), "( a & )");
        assert_eq!(part("cd /x; a"), "( cd /x; a )");
    }
}
