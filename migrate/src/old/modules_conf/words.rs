//! Words of a line: quoting, and the shell expansions that modutils left to `/bin/echo`.

use std::cell::Cell;
use std::collections::HashMap;

use crate::old::scanner::Scanner;

/// A word with its place in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text, one level of quotes removed.
    pub text: String,
    /// Byte offset of its first character in the logical line.
    pub offset: usize,
    /// Why its value cannot be known without a shell.
    pub unknown: Option<String>,
}

/// What expansions can be answered from without running anything.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The kernel release for `` `uname -r` `` and `` `kernelversion` ``.
    pub kernel: Option<String>,
    /// Variables set by `define`.
    pub defined: HashMap<String, String>,
    /// How many bytes of values have been put into words.
    pub spent: Cell<usize>,
}

/// A value may grow to this many bytes, as a line of modutils could have.
const LONGEST_VALUE: usize = 3000;
/// All values together may grow by this many bytes: 16 MiB.
const ALL_VALUES: usize = 16 << 20;

impl Environment {
    /// Whether a value of so many bytes may be put into a word of so many: values that are made of values can double
    /// with each line.
    fn may_spend(&self, there: usize, more: usize) -> bool {
        let spent = self.spent.get() + more;
        let may = there + more <= LONGEST_VALUE && spent <= ALL_VALUES;
        self.spent.set(if may { spent } else { self.spent.get() });
        may
    }
}

/// Splits `text` at unquoted blanks and expands each word as far as that is possible without a shell.
/// `base` is the offset of `text` in its line.
pub fn split(text: &str, base: usize, environment: &Environment) -> Vec<Word> {
    let mut reader = Reader { text: Scanner::new(text), environment };
    std::iter::from_fn(|| reader.word(base)).collect()
}

struct Reader<'a> {
    text: Scanner<'a>,
    environment: &'a Environment,
}

impl Reader<'_> {
    fn word(&mut self, base: usize) -> Option<Word> {
        self.text.read_while(char::is_whitespace);
        self.text.peek()?;
        let mut word = Word { text: String::new(), offset: base + self.text.at(), unknown: None };
        let mut quote = None;
        while let Some(character) = self.text.peek() {
            if quote.is_none() && character.is_whitespace() {
                break;
            }
            self.text.read();
            self.character(character, &mut quote, &mut word);
        }
        if let Some(quote) = quote {
            word.unknown.get_or_insert_with(|| format!("a quote ({quote}) is opened and not closed"));
        }
        Some(word)
    }

    fn character(&mut self, character: char, quote: &mut Option<char>, word: &mut Word) {
        match (character, *quote) {
            ('\'' | '"', None) => *quote = Some(character),
            (end, Some(open)) if end == open => *quote = None,
            ('\\', None | Some('"')) => word.text.push(self.text.read().unwrap_or('\\')),
            ('`', None | Some('"')) => self.back_quoted(word),
            ('$', None | Some('"')) => self.variable(word),
            (';' | '|' | '<' | '>' | '&' | '(' | ')' | '{' | '}' | '*' | '?' | '[', None) => {
                word.text.push(character);
                word.unknown.get_or_insert_with(|| {
                    format!("`{character}` in a value: modutils gave it to a shell, and nothing is run here")
                });
            }
            ('~', None) if word.text.is_empty() => {
                word.text.push('~');
                word.unknown
                    .get_or_insert_with(|| "`~` in a value: which home directory is meant?".to_owned());
            }
            _ => word.text.push(character),
        }
    }

    fn back_quoted(&mut self, word: &mut Word) {
        match self.text.read_until('`') {
            Some(command) => self.answer(command, word),
            None => {
                word.unknown.get_or_insert_with(|| "a back quote is opened and not closed".to_owned());
                self.text.read_while(|_| true);
            }
        }
    }

    /// `uname -r` and `kernelversion` are answered; nothing is ever run.
    fn answer(&self, command: &str, word: &mut Word) {
        let kernel = self.environment.kernel.as_deref();
        let value = match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["uname", "-r"] => kernel.map(str::to_owned),
            ["kernelversion"] => kernel.map(major_minor),
            _ => {
                word.unknown.get_or_insert_with(|| {
                    format!("the output of `{command}` is wanted here, and commands are never run")
                });
                return;
            }
        };
        match value {
            Some(value) => word.text.push_str(&value),
            None => {
                word.unknown.get_or_insert_with(|| {
                    format!("`{command}` depends on the kernel: state it with --kernel")
                });
            }
        }
    }

    fn variable(&mut self, word: &mut Word) {
        if self.text.peek() == Some('(') {
            let command = match self.text.read_until(')') {
                Some(command) => command,
                None => self.text.read_while(|_| true),
            };
            return self.answer(command.trim_start_matches('('), word);
        }
        let rest = self.text.rest();
        let (name, length) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let length =
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (&rest[..length], length)
            }
        };
        match self.environment.defined.get(name) {
            Some(value) if self.environment.may_spend(word.text.len(), value.len()) => {
                word.text.push_str(value);
            }
            Some(_) => {
                word.unknown
                    .get_or_insert_with(|| format!("`${name}` makes the value too long: write it out"));
            }
            None => {
                let message =
                    format!("`${name}` has no value that the file itself gives (no `define {name}` before)");
                word.unknown.get_or_insert(message);
            }
        }
        self.text.read_bytes(length);
    }
}

fn major_minor(release: &str) -> String {
    let end = release.match_indices('.').nth(1).map_or(release.len(), |(index, _)| index);
    release[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, environment: &Environment) -> Vec<String> {
        split(text, 0, environment).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_keep_blanks_and_go() {
        let environment = Environment::default();
        assert_eq!(texts(r#"str='x  y' "a b" c\ d"#, &environment), ["str=x  y", "a b", "c d"]);
    }

    #[test]
    fn only_the_kernel_release_is_answered() {
        let environment = Environment { kernel: Some("2.4.20-8".into()), ..Environment::default() };
        assert_eq!(
            texts("/lib/modules/`uname -r`/x `kernelversion`", &environment),
            ["/lib/modules/2.4.20-8/x", "2.4"]
        );
        let words = split("`uname -r` `touch x` $(touch y) $HOME a;b", 0, &Environment::default());
        assert!(words.iter().all(|word| word.unknown.is_some()), "{words:?}");
    }

    #[test]
    fn defined_variables_are_known() {
        let defined = HashMap::from([("NET".to_owned(), "tulip".to_owned())]);
        assert_eq!(
            texts("$NET ${NET}x", &Environment { defined, ..Environment::default() }),
            ["tulip", "tulipx"]
        );
    }
}
