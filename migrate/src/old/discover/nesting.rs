//! Where in a script a line stands: in the part of a service's script that starts it, or under some condition.

use crate::old::shell::Simple;

/// Whether lines at a place are run when the system starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Runs {
    /// They are.
    Always,
    /// That depends on something that only the running script knows.
    Perhaps,
    /// They are run when a service is stopped, or asked for its state.
    Never,
}

/// One block that a line stands in.
#[derive(Debug)]
struct Block {
    runs: Runs,
    /// A `case "$1"`: its labels say what the script is told to do.
    is_service: bool,
}

/// The blocks around a line.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    blocks: Vec<Block>,
    /// The function whose `{` comes next.
    function: Option<Runs>,
}

impl Nesting {
    /// Takes in a line before its commands are looked at: labels of a service's `case`, and names of functions.
    pub(super) fn line(&mut self, text: &str) {
        let text = text.trim();
        if let Some((name, _)) = text.split_once("()") {
            self.function = Some(told(name.trim_start_matches("function ")));
        } else if let Some((label, _)) = text.split_once(')')
            && let Some(block) = self.blocks.last_mut().filter(|block| block.is_service)
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_|*\"' \t".contains(c))
        {
            block.runs = told(label);
        }
    }

    /// Takes in one command of a line. `text` is the line.
    pub(super) fn command(&mut self, simple: &Simple, text: &str) {
        match simple.first().and_then(|word| word.value.as_deref()) {
            Some("case") => {
                let is_service =
                    ["case \"$1\"", "case $1 ", "case \"${1"].iter().any(|start| text.contains(start));
                self.blocks.push(Block { runs: Runs::Perhaps, is_service });
            }
            Some("{") => {
                let runs = self.function.take().unwrap_or(Runs::Perhaps);
                self.blocks.push(Block { runs, is_service: false });
            }
            Some("if" | "for" | "while" | "until") => {
                self.blocks.push(Block { runs: Runs::Perhaps, is_service: false });
            }
            Some("fi" | "esac" | "done" | "}") => drop(self.blocks.pop()),
            _ => {}
        }
    }

    /// Whether a line here is run when the system starts.
    pub(super) fn runs(&self) -> Runs {
        self.blocks.iter().map(|block| block.runs).max().unwrap_or(Runs::Always)
    }
}

/// When a part of a script is run that has this label or is the function of this name.
fn told(label: &str) -> Runs {
    let words: Vec<&str> =
        label.split('|').map(|word| word.trim_matches([' ', '\t', '"', '\'', '('])).collect();
    let others =
        ["stop", "status", "restart", "reload", "force-reload", "condrestart", "probe", "*", "usage"];
    if words.contains(&"start") {
        Runs::Always
    } else if words.iter().all(|word| others.contains(word)) {
        Runs::Never
    } else {
        Runs::Perhaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::old::shell::parse_part;

    fn places(script: &str) -> Vec<Runs> {
        let mut nesting = Nesting::default();
        let line = |text: &str| {
            nesting.line(text);
            for simple in &parse_part(text).unwrap().commands {
                nesting.command(simple, text);
            }
            nesting.runs()
        };
        script.lines().map(line).collect()
    }

    #[test]
    fn what_a_service_does_when_it_is_started_is_done_at_boot() {
        use Runs::{Always, Never, Perhaps};
        let script = "case \"$1\" in\nstart)\na\nif b\nthen\nc\nfi\n;;\nstop)\nd\n;;\nesac\ne";
        let expected = [
            Perhaps, Always, Always, Perhaps, Perhaps, Perhaps, Always, Always, Never, Never, Never, Always,
            Always,
        ];
        assert_eq!(places(script), expected);
        assert_eq!(
            places("start() {\na\n}\nstop()\n{\nb\n}"),
            [Always, Always, Always, Always, Never, Never, Always]
        );
        assert_eq!(places("case \"$KIND\" in\nstart)\na"), [Perhaps, Perhaps, Perhaps]);
    }
}
