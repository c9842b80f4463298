//! Walks the files as modutils does (includes, conditions) and enters every line into the account.

use std::sync::Arc;

use super::condition::{State, evaluate};
use super::directive::{Directive, Problem, parse};
use super::words::{Environment, Word};
use crate::account::{Account, Kind, LineId};
use crate::error::Result;
use crate::old::input::enter;
use crate::old::lines::{Logical, logical_lines};
use crate::old::remembered;
use crate::root::Root;

/// So many files are read, each as often as it is included: files that include each other twice double with each
/// level.
const MOST_FILES: usize = 1000;

/// `include` and `if` go this deep in late modutils 2.4.
const DEEPEST: usize = 20;

/// One directive in force.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The line that it is from.
    pub line: LineId,
    /// What it says.
    pub directive: Directive,
    /// The logical line, comments cut and continuations joined, where conditions and values stay in the text.
    pub text: String,
}

/// What is done with what only a running modprobe could decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Conditions are evaluated, values must be known: for modprobe.d, which has neither `if` nor a shell.
    Evaluate,
    /// Conditions and values stay in the text: for a later modutils.
    Keep,
}

/// A branch of an `if`.
#[derive(Clone, Debug)]
enum Branch {
    Live,
    /// Not taken, and why.
    Dead(String),
    /// Not decided, and why.
    Unknown(String),
}

#[derive(Debug)]
struct Conditional {
    line: LineId,
    /// Whether an earlier branch was taken; `None` when that is not known.
    taken: Option<bool>,
    branch: Branch,
}

/// Reads configuration files into statements.
pub struct Reader<'a> {
    root: &'a Root,
    state: &'a State,
    account: &'a mut Account,
    environment: Environment,
    undecided: Undecided,
    statements: Vec<Statement>,
    open_files: Vec<Arc<str>>,
    files: usize,
}

impl<'a> Reader<'a> {
    /// A reader that enters lines into `account`.
    pub fn new(
        root: &'a Root,
        kernel: Option<&str>,
        state: &'a State,
        undecided: Undecided,
        account: &'a mut Account,
    ) -> Self {
        let environment = Environment { kernel: kernel.map(str::to_owned), ..Environment::default() };
        Reader {
            root,
            state,
            account,
            environment,
            undecided,
            statements: Vec::new(),
            open_files: Vec::new(),
            files: 0,
        }
    }

    /// The statements in the order in which modutils meets them.
    pub fn finish(self) -> Vec<Statement> {
        self.statements
    }

    /// Reads one file and what it includes. `Ok(false)`: there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file(&mut self, path: &str) -> Result<bool> {
        let Some(content) = self.root.read(path)? else { return Ok(false) };
        self.files += 1;
        let name: Arc<str> = path.into();
        self.open_files.push(name.clone());
        let text = crate::old::bytes::from_bytes(&content.bytes);
        let mut conditionals = Vec::new();
        for logical in logical_lines(&text) {
            self.account.check_size(path)?;
            let line = enter(self.account, &name, &logical);
            if let Some(why) = &content.foreign {
                self.account.needs_attention(
                    line,
                    Kind::Untrusted,
                    format!("{name} cannot be trusted: {why}"),
                );
            }
            self.line(line, &logical, &mut conditionals);
        }
        for open in conditionals {
            self.account.needs_attention(open.line, Kind::Unreadable, "this `if` has no `endif`");
        }
        self.open_files.pop();
        Ok(true)
    }

    fn line(&mut self, line: LineId, logical: &Logical, conditionals: &mut Vec<Conditional>) {
        if let Some(defect) = &logical.defect {
            return self.account.needs_attention(line, Kind::Unreadable, defect.clone());
        }
        if logical.text.trim().is_empty() {
            return self.account.dropped(line, "says nothing");
        }
        let directive = match parse(logical.text.trim_end(), &self.environment) {
            Ok(directive) => directive,
            Err(problem) => {
                return match conditionals.last().map(|conditional| &conditional.branch) {
                    Some(Branch::Dead(why)) => self.account.dropped(line, why.clone()),
                    _ => self.problem(line, logical, &problem),
                };
            }
        };
        let conditional =
            matches!(directive, Directive::If(_) | Directive::ElseIf(_) | Directive::Else | Directive::EndIf);
        if conditional && self.undecided == Undecided::Evaluate {
            return self.conditional(line, directive, conditionals);
        }
        // modutils tests the innermost level only
        match conditionals.last().map(|conditional| &conditional.branch) {
            None | Some(Branch::Live) => self.live(line, logical, directive),
            Some(Branch::Dead(why)) => self.account.dropped(line, why.clone()),
            Some(Branch::Unknown(why)) => {
                self.account.needs_attention(
                    line,
                    Kind::Condition,
                    format!("it is not known whether this line counts: {why}"),
                );
            }
        }
    }

    fn live(&mut self, line: LineId, logical: &Logical, directive: Directive) {
        if self.account.has(line, crate::account::Fate::NeedsAttention) {
            return;
        }
        if let Some((offset, message)) = unknown_value(&directive)
            && (self.undecided == Undecided::Evaluate || matches!(directive, Directive::Include(_)))
        {
            return self.problem(line, logical, &Problem { kind: Kind::ShellValue, offset, message });
        }
        let text = match self.undecided {
            Undecided::Keep => logical.text.trim().to_owned(),
            Undecided::Evaluate => String::new(),
        };
        match directive {
            Directive::Options { name, mut words, add, keep_loaded } => {
                self.remember(line, &mut words);
                let directive = Directive::Options { name, words, add, keep_loaded };
                self.statements.push(Statement { line, directive, text });
            }
            Directive::Include(path) => self.include(line, &path.text),
            Directive::Define { name, value } => {
                self.environment.defined.insert(name.clone(), value.text.clone());
                self.statements.push(Statement { line, directive: Directive::Define { name, value }, text });
            }
            directive => self.statements.push(Statement { line, directive, text }),
        }
    }

    /// Puts in what kerneld remembered, where modprobe.d cannot say so itself.
    fn remember(&mut self, line: LineId, words: &mut [Word]) {
        for word in words.iter_mut().filter(|_| self.undecided == Undecided::Evaluate) {
            if let Some((text, why)) = remembered::resolved(self.root, &word.text) {
                word.text = text;
                self.account.note(line, why);
            }
        }
    }

    fn problem(&mut self, line: LineId, logical: &Logical, problem: &Problem) {
        let (number, column) = logical.place(problem.offset);
        let file = self.account.line(line).file.clone();
        let shown = logical.physical.iter().find(|physical| physical.number == number);
        let message = &problem.message;
        let why = match shown {
            Some(physical) => {
                format!("{file}:{number}:{column}: {message}\n{}", marked(physical.text, column))
            }
            None => format!("{file}:{number}:{column}: {message}"),
        };
        self.account.needs_attention(line, problem.kind, why);
    }

    fn include(&mut self, line: LineId, path: &str) {
        if self.open_files.iter().any(|open| &**open == path) {
            return self.account.needs_attention(
                line,
                Kind::Unreadable,
                format!("{path} includes itself: the loop is cut here"),
            );
        }
        if self.open_files.len() > DEEPEST {
            return self.account.needs_attention(
                line,
                Kind::Unreadable,
                format!("includes go deeper than {DEEPEST} levels here"),
            );
        }
        if self.files >= MOST_FILES {
            let why = format!("more than {MOST_FILES} files are included in all; this one is not read");
            return self.account.needs_attention(line, Kind::Unreadable, why);
        }
        match self.file(path) {
            Ok(true) => {
                self.account.dropped(line, format!("the lines of {path} are taken in, each in its place"))
            }
            Ok(false) => self.account.needs_attention(
                line,
                Kind::Unreadable,
                format!("there is no {path} below the root"),
            ),
            Err(error) => self.account.needs_attention(line, Kind::Unreadable, error.to_string()),
        }
    }

    fn conditional(&mut self, line: LineId, directive: Directive, open: &mut Vec<Conditional>) {
        let depth = open.len();
        match (directive, open.last_mut()) {
            (Directive::If(condition), _) if depth < DEEPEST => {
                let (taken, branch) = self.decide(line, &condition);
                open.push(Conditional { line, taken, branch });
            }
            (Directive::If(_), _) => {
                let why = format!("`if` goes deeper than {DEEPEST} levels here");
                self.account.needs_attention(line, Kind::Unreadable, why);
            }
            (_, None) => {
                self.account.needs_attention(line, Kind::Unreadable, "there is no `if` before this");
            }
            (Directive::ElseIf(condition), Some(level)) => self.other_branch(line, level, Some(&condition)),
            (Directive::Else, Some(level)) => self.other_branch(line, level, None),
            (_, Some(level)) => {
                match level.taken {
                    Some(_) => {
                        self.account.dropped(line, "modprobe.d has no `if`; the branch taken is written");
                    }
                    None => self.account.needs_attention(
                        line,
                        Kind::Condition,
                        "ends an `if` that is not decided",
                    ),
                }
                open.pop();
            }
        }
    }

    /// `elseif` with its condition, `else` without one.
    fn other_branch(&mut self, line: LineId, level: &mut Conditional, condition: Option<&str>) {
        match (level.taken, condition) {
            (Some(true), _) => self.not_taken(line, level),
            (None, _) => self.undecided(line, level),
            (Some(false), Some(condition)) => {
                (level.taken, level.branch) = self.decide(line, condition);
            }
            (Some(false), None) => {
                (level.taken, level.branch) = (Some(true), Branch::Live);
                self.account.dropped(line, "modprobe.d has no `if`; this branch is taken");
            }
        }
    }

    fn decide(&mut self, line: LineId, condition: &str) -> (Option<bool>, Branch) {
        match evaluate(condition, self.root, &self.environment, self.state) {
            Ok(decision) => {
                let verdict = if decision.holds { "taken" } else { "not taken" };
                let because = &decision.because;
                self.account
                    .dropped(line, format!("modprobe.d has no `if`; decided now: {because}, so {verdict}"));
                let number = self.account.line(line).number;
                let branch = if decision.holds {
                    Branch::Live
                } else {
                    Branch::Dead(format!(
                        "not in force: the condition in line {number} does not hold ({because})"
                    ))
                };
                (Some(decision.holds), branch)
            }
            Err(question) => {
                self.account.ask(line, question.clone());
                (None, Branch::Unknown(question.why))
            }
        }
    }

    fn not_taken(&mut self, line: LineId, level: &mut Conditional) {
        let number = self.account.line(level.line).number;
        level.branch =
            Branch::Dead(format!("not in force: an earlier branch of the `if` in line {number} is taken"));
        self.account.dropped(line, "modprobe.d has no `if`; an earlier branch is taken");
    }

    fn undecided(&mut self, line: LineId, level: &mut Conditional) {
        let number = self.account.line(level.line).number;
        let why = format!("the `if` in line {number} is not decided");
        level.branch = Branch::Unknown(why.clone());
        self.account.needs_attention(line, Kind::Condition, why);
    }
}

/// The line with a marker under the column (from 1).
fn marked(text: &str, column: usize) -> String {
    const SHOWN: usize = 160;
    let before = text.get(..column - 1).map_or(column - 1, |before| before.chars().count());
    let skipped = before.saturating_sub(SHOWN / 2);
    let shown: String = text.chars().skip(skipped).take(SHOWN).collect();
    let blanks: String = shown.chars().take(before - skipped).map(as_blank).collect();
    format!("    {shown}\n    {blanks}^")
}

/// A blank as wide as a character: the marker stands right below its place after tabs, too.
fn as_blank(character: char) -> char {
    if character == '\t' { '\t' } else { ' ' }
}

/// The first word of a directive whose value only a shell could tell.
fn unknown_value(directive: &Directive) -> Option<(usize, String)> {
    let of = |words: &[Word]| {
        words.iter().find_map(|word| word.unknown.clone().map(|message| (word.offset, message)))
    };
    match directive {
        // only the first target word counts
        Directive::Alias { targets, .. } => of(&targets[..1]),
        Directive::Options { words, .. } => of(words),
        Directive::List { members, .. } => of(members),
        Directive::Define { value, .. } | Directive::Setting { value, .. } | Directive::Path { value } => {
            of(std::slice::from_ref(value))
        }
        Directive::Include(path) => of(std::slice::from_ref(path)),
        _ => None,
    }
}
