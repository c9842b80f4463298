//! The account: every line of the old system and its one fate.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};

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

/// The kinds of questions that only a person can answer, in the order in which reports show them.
#[allow(missing_docs)] // the headings say it
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Unreadable,
    Untrusted,
    ShellValue,
    Condition,
    Unknown,
    Clash,
    Command,
    BuiltIn,
    Value,
    LoadedTwice,
    Script,
    Schedule,
    NotInForce,
    SwitchedOff,
    Site,
    Depends,
    Overlooked,
}

impl Kind {
    /// What the lines have in common.
    pub fn heading(self) -> &'static str {
        match self {
            Kind::Unreadable => "modutils could not read these lines either",
            Kind::Untrusted => "someone other than root can have written these files",
            Kind::ShellValue => "only a shell could tell these values",
            Kind::Condition => "the files alone do not decide these conditions",
            Kind::Unknown => "these modules are unknown",
            Kind::Clash => "these lines contradict each other today",
            Kind::Command => "these commands cannot work as they are",
            Kind::BuiltIn => "these belong to something that is built into the kernel",
            Kind::Value => "these values cannot be given to the kernel",
            Kind::LoadedTwice => "these load one module twice",
            Kind::Script => "these script lines depend on something that was not read",
            Kind::Schedule => "these crontab lines work on modules",
            Kind::NotInForce => "these lines were not in force",
            Kind::SwitchedOff => "something was switched off here",
            Kind::Site => "the new system has lines of its own against these",
            Kind::Depends => "these hang on another line that needs a person",
            Kind::Overlooked => "nothing was made of these lines",
        }
    }

    /// The kind in a word or two, for tables.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Unreadable => "unreadable",
            Kind::Untrusted => "untrusted",
            Kind::ShellValue => "shell values",
            Kind::Condition => "conditions",
            Kind::Unknown => "unknown modules",
            Kind::Clash => "contradictions",
            Kind::Command => "commands",
            Kind::BuiltIn => "built in",
            Kind::Value => "values",
            Kind::LoadedTwice => "loaded twice",
            Kind::Script => "scripts",
            Kind::Schedule => "crontabs",
            Kind::NotInForce => "not in force",
            Kind::SwitchedOff => "switched off",
            Kind::Site => "new system's lines",
            Kind::Depends => "depend on others",
            Kind::Overlooked => "overlooked",
        }
    }

    /// What a person can do about them.
    pub fn advice(self) -> &'static str {
        match self {
            Kind::Unreadable => "Correct the line in the old file, or accept it: it did nothing.",
            Kind::Untrusted => {
                "Check the file, then give it to root and take other people's right to write away."
            }
            Kind::ShellValue => "Write the value itself into the line.",
            Kind::Condition => "State what holds with --assume or --kernel.",
            Kind::Unknown => {
                "If it is built outside the kernel, build it for the new one and install it; else accept the line."
            }
            Kind::Clash => "Keep the line that you want and remove the other.",
            Kind::Command => "Change the command in the old file, or accept the line to go on without it.",
            Kind::BuiltIn => {
                "Do it from a start-up script or on the kernel's command line, then accept the line."
            }
            Kind::Value => "Change the value in the old file, or accept the line to go on without it.",
            Kind::LoadedTwice => "Put the parameters of all cards into one line.",
            Kind::Script => {
                "Decide what holds, and name the modules in /etc/modules-load.d yourself; then accept the line."
            }
            Kind::Schedule => "Change the crontab, then accept the line.",
            Kind::NotInForce => "Accept the line to leave it as it was: not in force.",
            Kind::SwitchedOff => "Decide whether it is to be off today, and accept the line.",
            Kind::Site => {
                "Change or remove the line of the new system and plan again, or accept the line to leave things as they are there."
            }
            Kind::Depends => "Settle the other line first.",
            Kind::Overlooked => "Look at the line, then accept it.",
        }
    }
}

/// What only a person can decide about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which kind of question it is.
    pub kind: Kind,
    /// A sentence about this line.
    pub why: String,
}

impl Question {
    /// A question of this kind.
    pub fn new(kind: Kind, why: impl Into<String>) -> Question {
        Question { kind, why: why.into() }
    }
}

/// Where an output line is: a path below the root and a line number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPlace {
    /// Path below the root, with a leading slash.
    pub file: Arc<str>,
    /// Line number, from 1.
    pub line: usize,
    /// Whether the line does something, and does not only say what was left out.
    pub live: bool,
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
    /// The comments right above it and behind it, the last dozen of them.
    pub comments: Vec<String>,
    /// The line whose fate this one shares: it continues it, or is a copy of it.
    pub shares: Option<Box<(LineId, String)>>,
    /// Set by [`Account::finish`] at the latest.
    pub fate: Option<Fate>,
    /// The first question that it raised.
    pub question: Option<Kind>,
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

/// So many lines of a system are accounted for. Real ones have a few hundred.
const MOST_LINES: usize = 400_000;

impl Account {
    /// Refuses more lines than any system has.
    ///
    /// # Errors
    /// When there are too many, with the file in which that came out.
    pub(crate) fn check_size(&self, path: &str) -> Result<()> {
        if self.lines.len() < MOST_LINES {
            return Ok(());
        }
        let why = format!("with it there are more than {MOST_LINES} lines");
        Err(Error::read(path, std::io::Error::other(why)))
    }

    /// Enters a line that has no fate yet.
    pub fn add(&mut self, file: &Arc<str>, number: usize, text: &str) -> LineId {
        self.lines.push(Line {
            file: file.clone(),
            number,
            text: text.to_owned(),
            comments: Vec::new(),
            shares: None,
            fate: None,
            question: None,
            why: Vec::new(),
            output: Vec::new(),
        });
        self.lines.len() - 1
    }

    /// Keeps what the user wrote above a line and behind it.
    pub(crate) fn comment(&mut self, line: LineId, comments: &[&str]) {
        let skipped = comments.len().saturating_sub(12);
        self.lines[line].comments = comments[skipped..].iter().map(|text| (*text).to_owned()).collect();
    }

    /// Says that `line` shares the fate of `other`, which was entered before it, and why.
    pub fn shares(&mut self, line: LineId, other: LineId, why: impl Into<String>) {
        self.lines[line].shares = Some(Box::new((other, why.into())));
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
    pub fn ask(&mut self, line: LineId, question: Question) {
        self.lines[line].question.get_or_insert(question.kind);
        self.settle(line, Fate::NeedsAttention, question.why);
    }

    /// A person has to look at the line, for this kind of reason.
    pub fn needs_attention(&mut self, line: LineId, kind: Kind, why: impl Into<String>) {
        self.ask(line, Question::new(kind, why));
    }

    /// Adds a remark without changing the fate.
    pub fn note(&mut self, line: LineId, why: impl Into<String>) {
        let why = why.into();
        let reasons = &mut self.lines[line].why;
        if !why.is_empty() && !reasons.contains(&why) {
            // most lines have one
            reasons.reserve_exact(usize::from(reasons.is_empty()));
            reasons.push(why);
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
            outputs.reserve_exact(usize::from(outputs.is_empty()) * 2);
            outputs.push(place);
        }
    }

    /// Settles what is left: a line whose meaning went nowhere is dropped, a line that shares another's fate
    /// gets it, and a line that nothing has settled needs a person: nothing is ever skipped in silence.
    pub fn finish(&mut self) {
        for id in 0..self.lines.len() {
            if let Some((other, why)) = self.lines[id].shares.as_deref().cloned() {
                let original = &self.lines[other];
                let (fate, question, output) = (original.fate, original.question, original.output.clone());
                let line = &mut self.lines[id];
                (line.fate, line.question, line.output, line.why) = (fate, question, output, vec![why]);
                continue;
            }
            let line = &mut self.lines[id];
            match line.fate {
                Some(Fate::Rewritten) if !line.output.iter().any(|place| place.live) => {
                    line.fate = Some(Fate::Dropped);
                    if line.why.is_empty() {
                        line.why.push("kmod does this without being told".to_owned());
                    }
                }
                Some(_) => {}
                None => self.needs_attention(id, Kind::Overlooked, "nothing was made of this line"),
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

    /// The lines that a person has to look at, without those that only continue one or copy it.
    pub fn open_questions(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.fate == Some(Fate::NeedsAttention) && line.shares.is_none())
    }

    /// The open questions by kind, in the order in which kinds are shown.
    pub fn questions(&self) -> BTreeMap<Kind, Vec<&Line>> {
        let mut groups: BTreeMap<Kind, Vec<&Line>> = BTreeMap::new();
        for line in self.open_questions() {
            groups.entry(line.question.unwrap_or(Kind::Overlooked)).or_default().push(line);
        }
        groups
    }

    /// How many lines have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.lines.iter().filter(|line| line.fate == Some(fate)).count()
    }
}
