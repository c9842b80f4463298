//! Commands of the old configuration: read as a shell would split them, so that old words of modprobe, insmod
//! and rmmod can be put into today's form. Nothing is expanded and nothing is run.

use std::ops::Range;

use crate::old::scanner::Scanner;

/// A word of a command, as it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is in the text.
    pub range: Range<usize>,
    /// Its value with quotes removed; `None` when only a running shell could tell (`$`, back quotes).
    pub value: Option<String>,
}

/// A simple command: its words, redirections left out.
pub type Simple = Vec<Word>;

/// Why a shell would not take a text for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// This quote, bracket or `$(` is opened and not closed.
    NotClosed(&'static str),
    /// A parenthesis is closed that was never opened.
    NotOpened,
    /// A redirection has no target.
    NoTarget,
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            SyntaxError::NotClosed(what) => write!(f, "{what} is opened and not closed"),
            SyntaxError::NotOpened => f.write_str("a parenthesis is closed that was never opened"),
            SyntaxError::NoTarget => f.write_str("a redirection has no target"),
        }
    }
}

/// A command line taken apart.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The simple commands in it.
    pub commands: Vec<Simple>,
    /// Whether there is more than one simple command: `;`, `&&`, `|`, `&`, parentheses…
    pub compound: bool,
    /// Whether it ends with `&` or `;`, so that no `;` may follow.
    pub terminated: bool,
    /// Whether it ends with `&`.
    pub background: bool,
    /// Whether it is nothing but simple commands with `;`, `&`, `|`, `&&` or `||` between them. Only such a text is
    /// surely right shell syntax, and can stand in a longer line without breaking that.
    pub plain: bool,
    depth: i32,
    closes_more: bool,
}

/// Takes a command line apart that stands for itself.
///
/// # Errors
/// When a shell would not take it.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let parsed = parse_part(text)?;
    match parsed.depth {
        0 if !parsed.closes_more => Ok(parsed),
        1.. => Err(SyntaxError::NotClosed("a parenthesis")),
        _ => Err(SyntaxError::NotOpened),
    }
}

/// Takes a line of a script apart: parentheses may be opened or closed in other lines (`start) …`).
///
/// # Errors
/// When a quote is not closed or a redirection has no target.
pub(crate) fn parse_part(text: &str) -> Result<Parsed, SyntaxError> {
    let mut reader = Reader { text: Scanner::new(text), plain: true };
    let mut parsed = Parsed::default();
    let mut simple = Simple::new();
    // an operator that wants a command after it
    let mut open = false;
    loop {
        reader.skip_blanks();
        let Some(character) = reader.text.peek() else { break };
        parsed.terminated = matches!(character, ';' | '&');
        parsed.background = character == '&';
        match character {
            '(' | ')' => {
                reader.parenthesis(&mut parsed);
                parsed.end(&mut simple);
            }
            ';' | '|' | '&' => {
                open = reader.operator(simple.is_empty());
                parsed.end(&mut simple);
            }
            '<' | '>' => reader.redirection()?,
            _ => open &= !reader.add_word(&mut simple, &mut parsed)?,
        }
    }
    parsed.commands.extend((!simple.is_empty()).then_some(simple));
    parsed.plain = reader.plain && !open;
    Ok(parsed)
}

impl Parsed {
    /// A simple command ends, and more follows.
    fn end(&mut self, simple: &mut Simple) {
        self.compound = true;
        self.commands.extend((!simple.is_empty()).then(|| std::mem::take(simple)));
    }
}

/// Words that are part of the syntax where a command may stand.
const RESERVED: [&str; 16] = [
    "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until",
    "while",
];

struct Reader<'a> {
    text: Scanner<'a>,
    plain: bool,
}

impl<'a> Reader<'a> {
    fn parenthesis(&mut self, parsed: &mut Parsed) {
        parsed.depth += if self.text.read() == Some('(') { 1 } else { -1 };
        parsed.closes_more |= parsed.depth < 0;
        self.plain = false;
    }

    /// Reads an operator; returns whether it wants a command after it.
    fn operator(&mut self, nothing_before: bool) -> bool {
        let operator = self.text.read_while(|c| ";|&".contains(c));
        self.plain &= !nothing_before && matches!(operator, ";" | "&" | "|" | "&&" | "||");
        !matches!(operator, ";" | "&")
    }

    /// Reads a word of a simple command; `false` when it was the descriptor of a redirection (`2>`).
    fn add_word(&mut self, simple: &mut Simple, parsed: &mut Parsed) -> Result<bool, SyntaxError> {
        let word = self.word()?;
        let raw = self.text.slice(word.range.clone());
        let is_number = raw.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && matches!(self.text.peek(), Some('<' | '>')) {
            return Ok(false);
        }
        parsed.compound |= matches!(raw, "{" | "}");
        self.plain &= !simple.is_empty() || !RESERVED.contains(&raw);
        simple.push(word);
        Ok(true)
    }

    /// `>file`, `2>&1`, `>>log`, `<in`.
    fn redirection(&mut self) -> Result<(), SyntaxError> {
        let operator = self.text.read_while(|c| "<>&|".contains(c));
        self.plain &= matches!(operator, "<" | ">" | ">>" | "<&" | ">&" | ">|" | "<>");
        self.skip_blanks();
        match self.text.peek() {
            None | Some(';' | '|' | '&' | '(' | ')') => Err(SyntaxError::NoTarget),
            Some(_) => {
                let target = self.word()?.range;
                // `< 2>&1`: a shell takes the number for a descriptor and misses the target
                let number = self.text.slice(target).bytes().all(|byte| byte.is_ascii_digit());
                self.plain &= !(number && matches!(self.text.peek(), Some('<' | '>')));
                Ok(())
            }
        }
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let start = self.text.at();
        let mut value = Some(String::new());
        let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '<' | '>');
        while let Some(character) = self.text.peek().filter(|c| !ends(*c)) {
            self.text.read();
            self.character(character, &mut value)?;
        }
        Ok(Word { range: start..self.text.at(), value })
    }

    fn character(&mut self, character: char, value: &mut Option<String>) -> Result<(), SyntaxError> {
        match character {
            '\'' => {
                let quoted = self.until('\'', "a quote (')")?;
                value.iter_mut().for_each(|value| value.push_str(quoted));
            }
            '"' => self.double_quoted(value)?,
            '\\' => self.escaped(value),
            '`' | '$' => {
                self.expansion(character)?;
                *value = None;
            }
            plain => value.iter_mut().for_each(|value| value.push(plain)),
        }
        Ok(())
    }

    fn escaped(&mut self, value: &mut Option<String>) {
        let escaped = self.text.read();
        value.iter_mut().for_each(|value| value.extend(escaped));
    }

    fn double_quoted(&mut self, value: &mut Option<String>) -> Result<(), SyntaxError> {
        loop {
            match self.text.read() {
                None => return Err(SyntaxError::NotClosed("a quote (\")")),
                Some('"') => return Ok(()),
                Some('\\') => self.escaped(value),
                Some(character @ ('`' | '$')) => {
                    self.expansion(character)?;
                    *value = None;
                }
                Some(plain) => value.iter_mut().for_each(|value| value.push(plain)),
            }
        }
    }

    /// After a back quote or a `$`: passes over what it encloses.
    fn expansion(&mut self, opening: char) -> Result<(), SyntaxError> {
        if opening == '`' {
            let inside = self.until('`', "a back quote")?;
            self.plain &= !inside.contains('\\') && parse(inside).is_ok_and(|parsed| parsed.plain);
            return Ok(());
        }
        match self.text.peek() {
            Some('(') => {
                let inside = self.bracketed('(', ')', "`$(`")?;
                self.plain &= parse(inside).is_ok_and(|parsed| parsed.plain);
            }
            Some('{') => {
                self.bracketed('{', '}', "`${`")?;
                self.plain = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// What stands between an opening bracket and the closing one that belongs to it.
    fn bracketed(&mut self, open: char, close: char, what: &'static str) -> Result<&'a str, SyntaxError> {
        let (start, mut depth) = (self.text.at() + 1, 0);
        while let Some(character) = self.text.read() {
            match character {
                '\'' => drop(self.until('\'', "a quote (')")?),
                '"' => self.double_quoted(&mut None)?,
                '\\' => drop(self.text.read()),
                _ if character == open => depth += 1,
                _ if character == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(self.text.slice(start..self.text.at() - 1));
            }
        }
        Err(SyntaxError::NotClosed(what))
    }

    fn until(&mut self, end: char, what: &'static str) -> Result<&'a str, SyntaxError> {
        self.text.read_until(end).ok_or(SyntaxError::NotClosed(what))
    }

    fn skip_blanks(&mut self) {
        self.text.read_while(char::is_whitespace);
    }
}

/// A text as one word of a shell command.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<Vec<Option<String>>> {
        let parsed = parse(text).unwrap();
        parsed
            .commands
            .into_iter()
            .map(|simple| simple.into_iter().map(|word| word.value).collect())
            .collect()
    }

    fn plain(words: &[&str]) -> Vec<Option<String>> {
        words.iter().map(|word| Some((*word).to_owned())).collect()
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        assert_eq!(
            commands("/bin/aumix -f \"/etc/.aumix rc\" -L >/dev/null 2>&1 || :"),
            [plain(&["/bin/aumix", "-f", "/etc/.aumix rc", "-L"]), plain(&[":"])]
        );
        assert_eq!(commands("a;b & c"), [plain(&["a"]), plain(&["b"]), plain(&["c"])]);
        assert_eq!(commands("echo $(a; b \"c)\") `x;y` 'q;r'")[0].len(), 4);
        assert!(!parse("a >x 2>&1").unwrap().compound);
        assert!(parse("a &").unwrap().terminated);
    }

    #[test]
    fn only_what_is_surely_right_is_plain() {
        for text in ["a", "a;b && c || d | e &", "a >x 2>&1;", "X=1 a $(b; c) `d` \"$E\"", ""] {
            assert!(parse(text).unwrap().plain, "{text}");
        }
        for text in [
            "a;;b",
            "&& a",
            "a &&",
            "if a; then b; fi",
            "(a)",
            "{ a; }",
            "! a",
            "a <<E",
            "a >|| b",
            "echo $(;)",
            "echo ${}",
            "a | ; b",
            "fi",
        ] {
            assert!(!parse(text).unwrap().plain, "{text}");
        }
    }

    #[test]
    fn what_a_shell_cannot_parse_is_an_error() {
        for text in [
            "echo \"unbalanced",
            "echo 'a",
            "echo `a",
            "(a",
            "a)",
            "echo $(a",
            "a >",
            "a \"; touch x; echo \"b\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoting_is_only_where_needed() {
        assert_eq!(quote("io=0x300,0x320"), "io=0x300,0x320");
        assert_eq!(quote("a='b c'"), r"'a='\''b c'\'''");
    }
}
