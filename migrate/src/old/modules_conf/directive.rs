//! One logical line to one directive: the syntax tree of modutils' configuration.

use super::words::{Environment, Word, split};
use crate::account::Kind;
use crate::old::remembered::parts;

/// The six kinds of command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandKind {
    /// Before insmod; its failure stops the load.
    PreInstall,
    /// Instead of insmod.
    Install,
    /// After insmod.
    PostInstall,
    /// Before delete_module; its failure stops the removal.
    PreRemove,
    /// Instead of delete_module.
    Remove,
    /// After delete_module.
    PostRemove,
}

impl CommandKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            CommandKind::PreInstall => "pre-install",
            CommandKind::Install => "install",
            CommandKind::PostInstall => "post-install",
            CommandKind::PreRemove => "pre-remove",
            CommandKind::Remove => "remove",
            CommandKind::PostRemove => "post-remove",
        }
    }
}

/// A list of module names that belongs to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// Loaded after it.
    Above,
    /// Loaded before it.
    Below,
    /// The first that can be loaded.
    Probe,
    /// All that can be loaded.
    Probeall,
}

impl ListKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            ListKind::Above => "above",
            ListKind::Below => "below",
            ListKind::Probe => "probe",
            ListKind::Probeall => "probeall",
        }
    }
}

/// What a line says.
#[allow(missing_docs)] // the variants say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// `alias NAME TARGET …` (only the first target word counts).
    Alias { name: String, targets: Vec<Word> },
    /// `[add] options [-k] NAME WORD…`.
    Options { name: String, words: Vec<Word>, add: bool, keep_loaded: bool },
    /// `[add] above|below|probe|probeall NAME MEMBER…`.
    List { kind: ListKind, name: String, members: Vec<Word>, add: bool },
    /// `pre-install NAME COMMAND` and its kin. The command is what `system()` got.
    Command { kind: CommandKind, name: String, text: String },
    /// `path=VALUE`, `path[TAG]=VALUE`.
    Path { value: Word },
    /// `keep`: do not drop the default paths.
    Keep,
    /// `prune FILE`.
    Prune,
    /// `define NAME VALUE`.
    Define { name: String, value: Word },
    /// `if CONDITION`.
    If(String),
    /// `elseif CONDITION`.
    ElseIf(String),
    /// `else`.
    Else,
    /// `endif`.
    EndIf,
    /// `include FILE`.
    Include(Word),
    /// `depfile=`, `insmod_opt=`, `persistdir=`, the map files…
    Setting { key: String, value: Word },
}

/// Why a line is not a directive that counts, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind of question it is.
    pub kind: Kind,
    /// Byte offset in the logical line.
    pub offset: usize,
    /// A sentence.
    pub message: String,
}

/// The `KEY=VALUE` settings of modutils 2.3/2.4 besides `path`.
const SETTINGS: [&str; 11] = [
    "depfile",
    "generic_stringfile",
    "ieee1394file",
    "ieee1394map",
    "insmod_opt",
    "isapnpmapfile",
    "parportmapfile",
    "pcimapfile",
    "persistdir",
    "pnpbiosmapfile",
    "usbmapfile",
];

impl Problem {
    fn unreadable(offset: usize, message: impl Into<String>) -> Problem {
        Problem { kind: Kind::Unreadable, offset, message: message.into() }
    }
}

/// Parses a logical line.
///
/// # Errors
/// When it is not one of modutils' directives, or lacks a part.
pub fn parse(line: &str, environment: &Environment) -> Result<Directive, Problem> {
    let mut cursor = Cursor { line, at: 0 };
    let (mut start, mut keyword) = cursor.word();
    // modutils looks at the first three letters only
    let add = keyword.starts_with("add");
    if add {
        (start, keyword) = cursor.word();
    }
    if let Some(setting) = setting(line, start, environment) {
        return setting;
    }
    match keyword {
        "alias" => alias(cursor, environment),
        "options" => options(cursor, add, environment),
        "above" => list(ListKind::Above, cursor, add, environment),
        "below" => list(ListKind::Below, cursor, add, environment),
        "probe" => list(ListKind::Probe, cursor, add, environment),
        "probeall" => list(ListKind::Probeall, cursor, add, environment),
        "pre-install" => command(CommandKind::PreInstall, cursor),
        "install" => command(CommandKind::Install, cursor),
        "post-install" => command(CommandKind::PostInstall, cursor),
        "pre-remove" => command(CommandKind::PreRemove, cursor),
        "remove" => command(CommandKind::Remove, cursor),
        "post-remove" => command(CommandKind::PostRemove, cursor),
        "keep" => Ok(Directive::Keep),
        "prune" => cursor.needed("the name of a file").map(|_| Directive::Prune),
        "define" => define(cursor, environment),
        "if" => Ok(Directive::If(cursor.rest().1.to_owned())),
        "elseif" => Ok(Directive::ElseIf(cursor.rest().1.to_owned())),
        "else" => Ok(Directive::Else),
        "endif" => Ok(Directive::EndIf),
        "include" => one_value(cursor, "the name of a file", environment).map(Directive::Include),
        _ => Err(Problem::unreadable(start, unknown(keyword))),
    }
}

fn unknown(keyword: &str) -> String {
    let lower = keyword.to_lowercase();
    let hint = if keyword.starts_with('\u{feff}') {
        " (the file starts with a UTF-8 byte order mark: remove it)"
    } else if lower != keyword && parse(&format!("{lower} a b"), &Environment::default()).is_ok() {
        " (keywords are in lower case)"
    } else {
        ""
    };
    let keyword = crate::old::bytes::for_display(keyword);
    format!(
        "`{keyword}` is not a keyword of modutils{hint}; modutils 2.4 refuses the whole file because of this line"
    )
}

struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next blank-separated word, quotes not looked at; empty at the end.
    fn word(&mut self) -> (usize, &'a str) {
        let (start, rest) = self.rest();
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.at = start + length;
        (start, &rest[..length])
    }

    fn rest(&self) -> (usize, &'a str) {
        let rest = self.line[self.at..].trim_start();
        (self.line.len() - rest.len(), rest.trim_end())
    }

    fn needed(&mut self, what: &str) -> Result<&'a str, Problem> {
        match self.word() {
            (offset, "") => {
                Err(Problem::unreadable(offset, format!("{what} is missing at the end of the line")))
            }
            (_, word) => Ok(word),
        }
    }

    fn name(&mut self) -> Result<String, Problem> {
        let name = self.needed("a name")?;
        Ok(name.strip_suffix(".o").or_else(|| name.strip_suffix(".mod")).unwrap_or(name).to_owned())
    }

    fn words(&self, environment: &Environment) -> Vec<Word> {
        let (offset, rest) = self.rest();
        split(rest, offset, environment)
    }

    /// The rest of the line as words, of which there has to be one; `missing` says what is wrong otherwise.
    fn some_words(
        &self,
        environment: &Environment,
        missing: impl Fn() -> String,
    ) -> Result<Vec<Word>, Problem> {
        let words = self.words(environment);
        if words.is_empty() { Err(Problem::unreadable(self.line.len(), missing())) } else { Ok(words) }
    }
}

fn alias(mut cursor: Cursor, environment: &Environment) -> Result<Directive, Problem> {
    let name = cursor.name()?;
    let targets = cursor.some_words(environment, || format!("the alias {name} has no target"))?;
    Ok(Directive::Alias { name, targets })
}

fn options(mut cursor: Cursor, add: bool, environment: &Environment) -> Result<Directive, Problem> {
    let mut name = cursor.name()?;
    let keep_loaded = name == "-k";
    if keep_loaded {
        name = cursor.name()?;
    }
    let mut words = cursor.words(environment);
    // `?` is insmod's own here, not a shell's
    words.iter_mut().filter(|word| parts(&word.text).is_some()).for_each(|word| word.unknown = None);
    if words.is_empty() && !keep_loaded {
        let message = format!("no options are given for {name}");
        return Err(Problem::unreadable(cursor.line.len(), message));
    }
    Ok(Directive::Options { name, words, add, keep_loaded })
}

fn list(
    kind: ListKind,
    mut cursor: Cursor,
    add: bool,
    environment: &Environment,
) -> Result<Directive, Problem> {
    let name = cursor.name()?;
    let missing = || format!("no modules are given for {} {name}", kind.keyword());
    let members = cursor.some_words(environment, missing)?;
    Ok(Directive::List { kind, name, members, add })
}

fn command(kind: CommandKind, mut cursor: Cursor) -> Result<Directive, Problem> {
    let name = cursor.name()?;
    let (offset, text) = cursor.rest();
    if text.is_empty() {
        let message = format!("no command is given for {} {name}", kind.keyword());
        return Err(Problem::unreadable(offset, message));
    }
    Ok(Directive::Command { kind, name, text: text.to_owned() })
}

fn define(mut cursor: Cursor, environment: &Environment) -> Result<Directive, Problem> {
    let name = cursor.needed("the name of a variable")?.to_owned();
    let value = joined(cursor.words(environment), cursor.line.len());
    Ok(Directive::Define { name, value })
}

fn one_value(cursor: Cursor, what: &str, environment: &Environment) -> Result<Word, Problem> {
    let mut words = cursor.words(environment);
    match words.len() {
        0 => Err(Problem::unreadable(cursor.line.len(), format!("{what} is missing at the end of the line"))),
        _ => Ok(words.swap_remove(0)),
    }
}

fn joined(words: Vec<Word>, end: usize) -> Word {
    Word {
        offset: words.first().map_or(end, |word| word.offset),
        text: words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
        unknown: words.into_iter().find_map(|word| word.unknown),
    }
}

/// `KEY=VALUE` and `KEY[TAG]=VALUE`.
fn setting(line: &str, start: usize, environment: &Environment) -> Option<Result<Directive, Problem>> {
    let rest = &line[start..];
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let key = &rest[..length];
    if key != "path" && !SETTINGS.contains(&key) {
        return None;
    }
    let after = rest[length..].trim_start();
    let after = match after.strip_prefix('[') {
        Some(tagged) => tagged.split_once(']').map_or("", |(_, after)| after),
        None => after,
    };
    let Some(value) = after.trim_start().strip_prefix('=') else {
        let message = format!("`{key}` needs `=` and a value");
        return Some(Err(Problem::unreadable(start + length, message)));
    };
    let value = joined(split(value, line.len() - value.len(), environment), line.len());
    Some(Ok(if key == "path" {
        Directive::Path { value }
    } else {
        Directive::Setting { key: key.to_owned(), value }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Directive, Problem> {
        parse(line, &Environment::default())
    }

    #[test]
    fn add_is_known_by_three_letters() {
        assert!(matches!(read("addition options ne io=1"), Ok(Directive::Options { add: true, .. })));
    }

    #[test]
    fn paths_may_carry_a_tag() {
        for line in ["path=/x", "path[misc]=/x", "path[misc] = /x"] {
            let Ok(Directive::Path { value }) = read(line) else { panic!("{line}") };
            assert_eq!(value.text, "/x");
        }
    }

    #[test]
    fn problems_say_where_and_what() {
        let problem = read("alias eth1").unwrap_err();
        assert_eq!((problem.offset, problem.message.as_str()), (10, "the alias eth1 has no target"));
        let problem = read("ALIAS a b").unwrap_err();
        assert!(problem.message.contains("lower case"), "{problem:?}");
        assert_eq!(read("  frobnicate").unwrap_err().offset, 2);
    }

    #[test]
    fn options_k_keeps_a_module_loaded() {
        let Ok(Directive::Options { name, keep_loaded: true, words, .. }) =
            read("options -k eepro100 debug=1")
        else {
            panic!()
        };
        assert_eq!((name.as_str(), words[0].text.as_str()), ("eepro100", "debug=1"));
    }
}
