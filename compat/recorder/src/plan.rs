//! How helpers behave: the rules by which the recorder plays modprobe and the others.

use serde::{Deserialize, Serialize};
use wildmatch::WildMatchPattern;

/// A text in which `*` stands for any text, and nothing else for anything but itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// A pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Text(text.into())
    }

    fn matches(&self, text: &str) -> bool {
        // No character of any text is NUL, so none stands for a single one.
        WildMatchPattern::<'*', '\0'>::new(&self.0).matches(text)
    }
}

impl Default for Text {
    fn default() -> Self {
        Text::new("*")
    }
}

/// One rule: which helpers it is for, and what they do.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Which program: `modprobe`, `request-route`, `screenblanker`, `sh`.
    #[serde(default)]
    pub program: Text,
    /// What its last argument is (the module, the address, the shell command).
    #[serde(default)]
    pub text: Text,
    /// Seconds that it takes.
    #[serde(default)]
    pub time: f64,
    /// Its exit code, 0 to 255.
    #[serde(default)]
    pub exit: u8,
    /// What it writes to standard output as it starts.
    #[serde(default)]
    pub output: String,
    /// What it writes to standard output as it ends.
    #[serde(default)]
    pub late_output: String,
    /// Its exit code when SIGQUIT comes; without one it dies of the signal.
    #[serde(default)]
    pub on_quit: Option<u8>,
    /// The signal by which it ends itself, in place of `exit`.
    #[serde(default)]
    pub dies_of: Option<i32>,
}

impl Rule {
    /// Milliseconds that it takes.
    pub fn millis(&self) -> u64 {
        (self.time * 1000.0) as u64
    }
}

/// All rules of a scenario; the first that fits counts. A helper that none fits exits 0 at once.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Plan(pub Vec<Rule>);

impl Plan {
    /// What `program` does, called with these arguments (argv without `argv[0]`).
    pub fn rule(&self, program: &str, args: &[String]) -> Rule {
        let text = args.last().map_or("", String::as_str);
        let fits = |rule: &&Rule| rule.program.matches(program) && rule.text.matches(text);
        self.0.iter().find(fits).cloned().unwrap_or_default()
    }
}
