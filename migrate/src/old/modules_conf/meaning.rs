//! Statements to meaning: what is in force once the whole file is read.

use std::collections::{HashMap, HashSet};

use super::defaults;
use super::directive::{CommandKind, Directive, ListKind};
use super::reader::Statement;
use super::words::Word;
use crate::account::{Account, LineId};
use crate::names::requests;

/// A name's alias.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The first target word.
    pub target: String,
    /// Where it is said.
    pub line: LineId,
}

/// One word with its line.
#[derive(Clone, Debug)]
pub struct Given {
    /// The word.
    pub text: String,
    /// Where it is said.
    pub line: LineId,
}

/// The options of one name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The words that reach the module: `KEY=VALUE`.
    pub words: Vec<Given>,
    /// `-o NAME`: insmod's other name for the module.
    pub other_name: Option<Given>,
    /// All lines that are in force.
    pub lines: Vec<LineId>,
}

/// One command line.
#[derive(Clone, Debug)]
pub struct Command {
    /// What `system()` got.
    pub text: String,
    /// Where it is said.
    pub line: LineId,
}

/// What a whole configuration means.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    /// Aliases by name.
    pub aliases: HashMap<String, Alias>,
    /// Options by name (of a module or an alias).
    pub options: HashMap<String, Options>,
    /// above, below, probe, probeall (in the order of [`ListKind`]) by name.
    pub lists: [HashMap<String, Vec<Given>>; 4],
    /// Commands by name.
    pub commands: HashMap<String, HashMap<CommandKind, Command>>,
    /// Every name that the configuration speaks of, in order of first mention.
    pub names: Vec<String>,
    /// Modules that `options -k` exempts from autoclean.
    pub keep_loaded: Vec<Given>,
    /// Variables set by `define`.
    pub defined: HashMap<String, LineId>,
    seen: HashSet<String>,
    /// Names with a minor, by the name without: `char-major-81-1` by `char-major-81`.
    minors: HashMap<String, Vec<String>>,
}

impl Meaning {
    /// Makes the meaning of statements, and settles the lines that are not in force.
    pub fn of(statements: &[Statement], account: &mut Account) -> Meaning {
        let mut meaning = Meaning::default();
        for block in blocks(statements, account) {
            let is_default = |statement: &&Statement| repeats_default(&statement.directive);
            let is_dump = block.iter().filter(is_default).count() >= defaults::DUMP;
            for statement in block {
                if is_dump && is_default(&statement) && !meaning.overrides(&statement.directive) {
                    let why = "repeats what modutils assumes anyway (a dump of `modprobe -c`)";
                    account.dropped(statement.line, why);
                } else {
                    meaning.take(statement, account);
                }
            }
        }
        meaning
    }

    /// Whether a default comes after something else was said about the name, and so takes it back.
    fn overrides(&self, directive: &Directive) -> bool {
        match directive {
            Directive::Alias { name, targets } => {
                self.aliases.get(name).is_some_and(|alias| alias.target != targets[0].text)
            }
            Directive::Options { name, .. } => self.options.contains_key(name),
            _ => false,
        }
    }

    fn mention(&mut self, name: &str) {
        if self.seen.insert(name.to_owned()) {
            self.names.push(name.to_owned());
            if let Some(major) = major_of(name) {
                self.minors.entry(major.to_owned()).or_default().push(name.to_owned());
            }
        }
    }

    /// The forms in which a name is asked for today, without those that the configuration has names of its own for.
    pub fn forms(&self, name: &str) -> Vec<String> {
        let mut forms = requests::today(name).all(name);
        forms.retain(|form| form == name || !self.seen.contains(form));
        forms
    }

    /// Whether a name is nothing but an alias or a list, for a request that no kernel makes today, and nothing
    /// else leads to it.
    pub fn is_for_nobody(&self, name: &str) -> bool {
        if !requests::is_dead(name) || self.options.contains_key(name) || self.commands.contains_key(name) {
            return false;
        }
        let is_list = self.has_members([ListKind::Probe, ListKind::Probeall], name);
        let is_beside = self.has_members([ListKind::Above, ListKind::Below], name);
        !is_beside && (self.aliases.contains_key(name) || is_list) && !(is_list && self.leads_to(name))
    }

    fn has_members(&self, kinds: [ListKind; 2], name: &str) -> bool {
        kinds.into_iter().any(|kind| !self.members(kind, name).is_empty())
    }

    /// Whether an alias, a list or a command has the name in it.
    fn leads_to(&self, name: &str) -> bool {
        let mut commands = self.commands.values().flat_map(HashMap::values);
        self.aliases.values().any(|alias| alias.target == name)
            || self.lists.iter().flat_map(HashMap::values).flatten().any(|member| member.text == name)
            || commands.any(|command| command.text.contains(name))
    }

    /// The names that the configuration has for single minors of a device: `char-major-81-1` of `char-major-81`.
    pub fn minors_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.minors.get(name).into_iter().flatten().map(String::as_str)
    }

    fn take(&mut self, statement: &Statement, account: &mut Account) {
        let line = statement.line;
        match &statement.directive {
            Directive::Alias { name, targets } => self.alias(line, name, targets, account),
            Directive::Options { name, words, add, keep_loaded } => {
                if *keep_loaded {
                    self.keep_loaded.push(Given { text: name.clone(), line });
                }
                if !words.is_empty() {
                    self.options(line, name, words, *add, account);
                }
            }
            Directive::List { kind, name, members, add } => {
                self.list(line, (*kind, name), members, *add, account)
            }
            Directive::Command { kind, name, text } => self.command(line, *kind, name, text, account),
            Directive::Define { name, .. } => {
                self.defined.insert(name.clone(), line);
                account.dropped(line, "kmod has no variables; the value is written where the file uses it");
            }
            Directive::Path { .. } | Directive::Keep => {
                account.dropped(
                    line,
                    "kmod loads from /lib/modules/RELEASE alone, and depmod finds every folder there",
                );
            }
            Directive::Prune => {
                account.dropped(line, "it only kept depmod away from a file; there is nothing to do today")
            }
            Directive::Setting { key, .. } => account.dropped(line, setting(key)),
            Directive::If(_)
            | Directive::ElseIf(_)
            | Directive::Else
            | Directive::EndIf
            | Directive::Include(_) => {}
        }
    }

    fn alias(&mut self, line: LineId, name: &str, targets: &[Word], account: &mut Account) {
        self.mention(name);
        if targets.len() > 1 {
            let rest: Vec<_> = targets[1..].iter().map(|word| word.text.as_str()).collect();
            account
                .note(line, format!("only the first target counts; modutils never saw: {}", rest.join(" ")));
        }
        if defaults::is_alias(name, &targets[0].text) {
            account.note(line, "modutils assumes this without being told");
        }
        let alias = Alias { target: targets[0].text.clone(), line };
        if let Some(old) = self.aliases.insert(name.to_owned(), alias) {
            replaced(account, old.line, line, "the last alias of a name wins");
        }
    }

    fn options(&mut self, line: LineId, name: &str, words: &[Word], add: bool, account: &mut Account) {
        self.mention(name);
        let options = self.options.entry(name.to_owned()).or_default();
        let first = options.lines.is_empty();
        if !add && !first {
            for old in std::mem::take(options).lines {
                replaced(account, old, line, "a later `options` replaces");
            }
        }
        if add && first {
            // Of `-o dummy0` nothing is left today, and no line is to blame for it.
            let words = defaults::options(name).unwrap_or_default().split_whitespace();
            for word in words.filter(|word| word.contains('=')) {
                options.words.push(Given { text: word.to_owned(), line });
            }
        }
        options.lines.push(line);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word.text == "-o" {
                options.other_name = words.next().map(|word| Given { text: word.text.clone(), line });
            } else if word.text.contains('=') {
                options.words.push(Given { text: word.text.clone(), line });
            } else {
                let rest: Vec<_> =
                    std::iter::once(word).chain(words).map(|word| word.text.as_str()).collect();
                account.note(
                    line,
                    format!("modutils stopped at a word without `=`; it never saw: {}", rest.join(" ")),
                );
                break;
            }
        }
    }

    fn list(
        &mut self,
        line: LineId,
        key: (ListKind, &str),
        members: &[Word],
        add: bool,
        account: &mut Account,
    ) {
        let (kind, name) = key;
        self.mention(name);
        let list = self.lists[kind as usize].entry(name.to_owned()).or_default();
        if !add {
            let mut old: Vec<LineId> = list.drain(..).map(|member| member.line).collect();
            old.dedup();
            for old in old {
                replaced(account, old, line, &format!("a later `{}` replaces", kind.keyword()));
            }
        }
        list.extend(members.iter().map(|word| Given { text: word.text.clone(), line }));
    }

    fn command(&mut self, line: LineId, kind: CommandKind, name: &str, text: &str, account: &mut Account) {
        self.mention(name);
        let commands = self.commands.entry(name.to_owned()).or_default();
        match commands.get(&kind) {
            Some(first) => {
                replaced(account, line, first.line, &format!("the first `{}` of a name wins", kind.keyword()))
            }
            None => drop(commands.insert(kind, Command { text: text.to_owned(), line })),
        }
    }

    /// A command of a name.
    pub fn command_of(&self, name: &str, kind: CommandKind) -> Option<&Command> {
        self.commands.get(name)?.get(&kind)
    }

    /// The members of a list, empty when there is none.
    pub fn members(&self, kind: ListKind, name: &str) -> &[Given] {
        self.lists[kind as usize].get(name).map_or(&[], Vec::as_slice)
    }
}

fn replaced(account: &mut Account, loser: LineId, winner: LineId, rule: &str) {
    let winner = account.line(winner).place();
    account.dropped(loser, format!("not in force: {rule}, see {winner}"));
}

/// Statements that stand line by line below each other: no comment and no blank line is between them.
fn blocks<'a>(statements: &'a [Statement], account: &Account) -> Vec<&'a [Statement]> {
    let follows = |one: &Statement, other: &Statement| {
        let (one, other) = (account.line(one.line), account.line(other.line));
        one.file == other.file && one.number + 1 == other.number
    };
    statements.chunk_by(follows).collect()
}

/// The `char-major-N` of a `char-major-N-MINOR`, and the like.
fn major_of(name: &str) -> Option<&str> {
    let (major, minor) = name.rsplit_once('-')?;
    let is_minor = minor.bytes().all(|byte| byte.is_ascii_digit());
    (major.contains("-major-") && is_minor).then_some(major)
}

fn repeats_default(directive: &Directive) -> bool {
    match directive {
        Directive::Alias { name, targets } => defaults::is_alias(name, &targets[0].text),
        Directive::Options { name, words, .. } => {
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            defaults::options(name) == Some(&text.join(" "))
        }
        _ => false,
    }
}

fn setting(key: &str) -> &'static str {
    match key {
        "depfile" => "depmod always writes /lib/modules/RELEASE/modules.dep today",
        "insmod_opt" => "insmod's own flags of that time have no counterpart",
        "persistdir" => {
            "kmod keeps no module data; the kerneld daemon of today can (see its persistent settings)"
        }
        _ => "depmod writes its own map files today",
    }
}
