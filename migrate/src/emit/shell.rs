//! Commands of the old configuration: read as a shell would split them, so that old words of modprobe, insmod
//! and rmmod can be put into today's form. Nothing is expanded and nothing is run.

use std::ops::Range;

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

/// A command line taken apart.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The simple commands in it.
    pub commands: Vec<Simple>,
    /// Whether there is more than one simple command: `;`, `&&`, `|`, `&`, parentheses…
    pub compound: bool,
    /// Whether it ends with `&` or `;`, so that no `;` may follow.
    pub terminated: bool,
    depth: i32,
    closes_more: bool,
}

/// Takes a command line apart, that stands for itself.
pub fn parse(text: &str) -> Result<Parsed, String> {
    let parsed = parse_part(text)?;
    match parsed.depth {
        0 if !parsed.closes_more => Ok(parsed),
        1.. => Err("a parenthesis is opened and not closed".to_owned()),
        _ => Err("a parenthesis is closed that was never opened".to_owned()),
    }
}

/// Takes a line of a script apart: parentheses may be opened or closed in other lines (`start) …`).
pub fn parse_part(text: &str) -> Result<Parsed, String> {
    let mut scanner = Scanner { text, at: 0 };
    let mut parsed = Parsed::default();
    let mut simple = Simple::new();
    loop {
        scanner.skip_blanks();
        let start = scanner.at;
        let Some(character) = scanner.peek() else { break };
        parsed.terminated = matches!(character, ';' | '&');
        match character {
            ';' | '|' | '&' | '(' | ')' => {
                // `>&` and `<&` belong to redirections and are eaten there
                parsed.depth += i32::from(character == '(') - i32::from(character == ')');
                scanner.at += 1;
                parsed.compound = true;
                parsed.commands.extend((!simple.is_empty()).then(|| std::mem::take(&mut simple)));
            }
            '<' | '>' => scanner.redirection()?,
            _ => {
                let word = scanner.word()?;
                let is_descriptor = text[start..scanner.at].bytes().all(|byte| byte.is_ascii_digit());
                if is_descriptor && matches!(scanner.peek(), Some('<' | '>')) {
                    continue;
                }
                if matches!(&text[word.range.clone()], "{" | "}") {
                    parsed.compound = true;
                }
                simple.push(word);
            }
        }
        parsed.closes_more |= parsed.depth < 0;
    }
    parsed.commands.extend((!simple.is_empty()).then_some(simple));
    Ok(parsed)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// `>file`, `2>&1`, `>>log`, `<in`.
    fn redirection(&mut self) -> Result<(), String> {
        while matches!(self.peek(), Some('<' | '>' | '&' | '|')) {
            self.at += 1;
        }
        self.skip_blanks();
        match self.peek() {
            None | Some(';' | '|' | '&' | '(' | ')') => Err("a redirection has no target".to_owned()),
            Some(_) => self.word().map(drop),
        }
    }

    fn word(&mut self) -> Result<Word, String> {
        let start = self.at;
        let mut value = Some(String::new());
        while let Some(character) = self.peek() {
            if character.is_whitespace() || matches!(character, ';' | '|' | '&' | '(' | ')' | '<' | '>') {
                break;
            }
            self.next();
            match character {
                '\'' => {
                    let quoted = self.until('\'')?;
                    value.as_mut().map(|value| value.push_str(&quoted)).unwrap_or_default();
                }
                '"' => self.double_quoted(&mut value)?,
                '\\' => {
                    let escaped = self.next();
                    value.as_mut().map(|value| value.extend(escaped)).unwrap_or_default();
                }
                '`' | '$' => {
                    self.expansion(character)?;
                    value = None;
                }
                plain => value.as_mut().map(|value| value.push(plain)).unwrap_or_default(),
            }
        }
        Ok(Word { range: start..self.at, value })
    }

    fn double_quoted(&mut self, value: &mut Option<String>) -> Result<(), String> {
        loop {
            match self.next() {
                None => return Err("a quote (\") is opened and not closed".to_owned()),
                Some('"') => return Ok(()),
                Some('\\') => {
                    let escaped = self.next();
                    value.as_mut().map(|value| value.extend(escaped)).unwrap_or_default();
                }
                Some(character @ ('`' | '$')) => {
                    self.expansion(character)?;
                    *value = None;
                }
                Some(plain) => value.as_mut().map(|value| value.push(plain)).unwrap_or_default(),
            }
        }
    }

    /// After a back quote or a `$`: passes over what it encloses.
    fn expansion(&mut self, opening: char) -> Result<(), String> {
        if opening == '`' {
            return self.until('`').map(drop);
        }
        let Some(open @ ('(' | '{')) = self.peek() else { return Ok(()) };
        let close = if open == '(' { ')' } else { '}' };
        let mut depth = 0;
        while let Some(character) = self.next() {
            match character {
                '\'' => drop(self.until('\'')?),
                '"' => self.double_quoted(&mut None)?,
                '\\' => drop(self.next()),
                _ if character == open => depth += 1,
                _ if character == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(format!("`${open}` is opened and not closed"))
    }

    fn until(&mut self, end: char) -> Result<String, String> {
        let Some(length) = self.text[self.at..].find(end) else {
            return Err(format!("a quote ({end}) is opened and not closed"));
        };
        let inside = self.text[self.at..self.at + length].to_owned();
        self.at += length + end.len_utf8();
        Ok(inside)
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
