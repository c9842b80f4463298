//! The account: every line of the old system and its one fate.

use std::sync::Arc;

/// The number of a line within an [`Account`].
pub type LineId = usize;

/// What becomes of an input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing is written for it, for a stated reason.
    Dropped,
    /// Its meaning is in at least one output line.
    Rewritten,
    /// A person has to decide.
    NeedsAttention,
}

impl Fate {
    /// The word used in reports and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Fate::Dropped => "dropped",
            Fate::Rewritten => "rewritten",
            Fate::NeedsAttention => "needs-attention",
        }
    }
}

/// Where an output line is: a path below the root and a line number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPlace {
    /// Path below the root, with a leading slash.
    pub file: Arc<str>,
    /// Line number, from 1.
    pub line: usize,
}

/// One physical input line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Path below the root, with a leading slash.
    pub file: Arc<str>,
    /// Line number, from 1.
    pub number: usize,
    /// The line without its end, as [`crate::old::bytes`] reads it.
    pub text: String,
    /// The line whose fate this one shares: it continues it, or is a copy of it.
    pub shares: Option<(LineId, String)>,
    /// Set by [`Account::finish`] at the latest.
    pub fate: Option<Fate>,
    /// Why, in sentences.
    pub why: Vec<String>,
    /// The output lines that carry its meaning.
    pub output: Vec<OutputPlace>,
}

impl Line {
    /// `FILE:LINE`, as `--accept` takes it.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.number)
    }
}

/// All input lines with their fates.
#[derive(Clone, Debug, Default)]
pub struct Account {
    lines: Vec<Line>,
}

impl Account {
    /// Enters a line that has no fate yet.
    pub fn add(&mut self, file: &Arc<str>, number: usize, text: &str) -> LineId {
        self.lines.push(Line {
            file: file.clone(),
            number,
            text: text.to_owned(),
            shares: None,
            fate: None,
            why: Vec::new(),
            output: Vec::new(),
        });
        self.lines.len() - 1
    }

    /// Says that `line` shares the fate of `other`, which was entered before it, and why.
    pub fn shares(&mut self, line: LineId, other: LineId, why: impl Into<String>) {
        self.lines[line].shares = Some((other, why.into()));
    }

    /// The meaning of the line is in the output.
    pub fn rewritten(&mut self, line: LineId, why: impl Into<String>) {
        self.settle(line, Fate::Rewritten, why.into());
    }

    /// Nothing is written for the line.
    pub fn dropped(&mut self, line: LineId, why: impl Into<String>) {
        self.settle(line, Fate::Dropped, why.into());
    }

    /// A person has to look at the line.
    pub fn needs_attention(&mut self, line: LineId, why: impl Into<String>) {
        self.settle(line, Fate::NeedsAttention, why.into());
    }

    /// Adds a remark without changing the fate.
    pub fn note(&mut self, line: LineId, why: impl Into<String>) {
        let why = why.into();
        if !why.is_empty() && !self.lines[line].why.contains(&why) {
            self.lines[line].why.push(why);
        }
    }

    fn settle(&mut self, line: LineId, fate: Fate, why: String) {
        let entry = &mut self.lines[line];
        entry.fate = entry.fate.max(Some(fate));
        self.note(line, why);
    }

    /// Whether the line has this fate already.
    pub fn has(&self, line: LineId, fate: Fate) -> bool {
        self.lines[line].fate == Some(fate)
    }

    /// Notes that an output line comes from `line`.
    pub fn link(&mut self, line: LineId, place: OutputPlace) {
        let outputs = &mut self.lines[line].output;
        if outputs.last() != Some(&place) {
            outputs.push(place);
        }
    }

    /// Settles what is left: a line whose meaning went nowhere is dropped, a line that shares another's fate
    /// gets it, and a line that nothing has settled needs a person: nothing is ever skipped in silence.
    pub fn finish(&mut self) {
        for id in 0..self.lines.len() {
            if let Some((other, why)) = self.lines[id].shares.clone() {
                let (fate, output) = (self.lines[other].fate, self.lines[other].output.clone());
                let line = &mut self.lines[id];
                (line.fate, line.output, line.why) = (fate, output, vec![why]);
                continue;
            }
            let line = &mut self.lines[id];
            match line.fate {
                Some(Fate::Rewritten) if line.output.is_empty() => {
                    line.fate = Some(Fate::Dropped);
                    if line.why.is_empty() {
                        line.why.push("kmod does this without being told".to_owned());
                    }
                }
                Some(_) => {}
                None => self.needs_attention(id, "nothing was made of this line; please look at it"),
            }
        }
    }

    /// One line.
    pub fn line(&self, id: LineId) -> &Line {
        &self.lines[id]
    }

    /// All lines in the order of reading.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many lines have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.lines.iter().filter(|line| line.fate == Some(fate)).count()
    }
}
