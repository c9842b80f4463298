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

/// A command line taken apart.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The simple commands in it.
    pub commands: Vec<Simple>,
    /// Whether there is more than one simple command: `;`, `&&`, `|`, `&`, parentheses…
    pub compound: bool,
    /// Whether it ends with `&` or `;`, so that no `;` may follow.
    pub terminated: bool,
    /// Whether it is nothing but simple commands with `;`, `&`, `|`, `&&` or `||` between them. Only such a text is
    /// surely right shell syntax, and can stand in a longer line without breaking that.
    pub plain: bool,
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
    let mut reader = Reader { text: Scanner::new(text), plain: true };
    let mut parsed = Parsed::default();
    let mut simple = Simple::new();
    // an operator that wants a command after it
    let mut open = false;
    loop {
        reader.skip_blanks();
        let start = reader.text.at();
        let Some(character) = reader.text.peek() else { break };
        parsed.terminated = matches!(character, ';' | '&');
        match character {
            '(' | ')' => {
                reader.text.read();
                reader.plain = false;
                parsed.depth += i32::from(character == '(') - i32::from(character == ')');
                parsed.compound = true;
                parsed.commands.extend((!simple.is_empty()).then(|| std::mem::take(&mut simple)));
            }
            ';' | '|' | '&' => {
                let operator = reader.text.read_while(|c| ";|&".contains(c));
                reader.plain &= !simple.is_empty() && matches!(operator, ";" | "&" | "|" | "&&" | "||");
                open = !matches!(operator, ";" | "&");
                parsed.compound = true;
                parsed.commands.extend((!simple.is_empty()).then(|| std::mem::take(&mut simple)));
            }
            '<' | '>' => reader.redirection()?,
            _ => {
                let word = reader.word()?;
                let raw = &text[word.range.clone()];
                let is_descriptor = text[start..reader.text.at()].bytes().all(|byte| byte.is_ascii_digit());
                if is_descriptor && matches!(reader.text.peek(), Some('<' | '>')) {
                    continue;
                }
                if matches!(raw, "{" | "}") {
                    parsed.compound = true;
                }
                reader.plain &= !simple.is_empty() || !RESERVED.contains(&raw);
                simple.push(word);
                open = false;
            }
        }
        parsed.closes_more |= parsed.depth < 0;
    }
    parsed.commands.extend((!simple.is_empty()).then_some(simple));
    parsed.plain = reader.plain && !open;
    Ok(parsed)
}

/// Words that are no commands where a command may stand.
const RESERVED: [&str; 16] = [
    "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until",
    "while",
];

struct Reader<'a> {
    text: Scanner<'a>,
    plain: bool,
}

impl<'a> Reader<'a> {
    /// `>file`, `2>&1`, `>>log`, `<in`.
    fn redirection(&mut self) -> Result<(), String> {
        let operator = self.text.read_while(|c| "<>&|".contains(c));
        self.plain &= matches!(operator, "<" | ">" | ">>" | "<&" | ">&" | ">|" | "<>");
        self.skip_blanks();
        match self.text.peek() {
            None | Some(';' | '|' | '&' | '(' | ')') => Err("a redirection has no target".to_owned()),
            Some(_) => {
                let target = self.word()?.range;
                // `< 2>&1`: a shell takes the number for a descriptor and misses the target
                let number = self.text.slice(target).bytes().all(|byte| byte.is_ascii_digit());
                self.plain &= !(number && matches!(self.text.peek(), Some('<' | '>')));
                Ok(())
            }
        }
    }

    fn word(&mut self) -> Result<Word, String> {
        let start = self.text.at();
        let mut value = Some(String::new());
        while let Some(character) = self.text.peek() {
            if character.is_whitespace() || matches!(character, ';' | '|' | '&' | '(' | ')' | '<' | '>') {
                break;
            }
            self.text.read();
            match character {
                '\'' => {
                    let quoted = self.until('\'')?;
                    value.as_mut().map(|value| value.push_str(quoted)).unwrap_or_default();
                }
                '"' => self.double_quoted(&mut value)?,
                '\\' => {
                    let escaped = self.text.read();
                    value.as_mut().map(|value| value.extend(escaped)).unwrap_or_default();
                }
                '`' | '$' => {
                    self.expansion(character)?;
                    value = None;
                }
                plain => value.as_mut().map(|value| value.push(plain)).unwrap_or_default(),
            }
        }
        Ok(Word { range: start..self.text.at(), value })
    }

    fn double_quoted(&mut self, value: &mut Option<String>) -> Result<(), String> {
        loop {
            match self.text.read() {
                None => return Err("a quote (\") is opened and not closed".to_owned()),
                Some('"') => return Ok(()),
                Some('\\') => {
                    let escaped = self.text.read();
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
            let inside = self.until('`')?;
            self.plain &= !inside.contains('\\') && parse(inside).is_ok_and(|parsed| parsed.plain);
            return Ok(());
        }
        let Some(open @ ('(' | '{')) = self.text.peek() else { return Ok(()) };
        let close = if open == '(' { ')' } else { '}' };
        let (start, mut depth) = (self.text.at() + 1, 0);
        while let Some(character) = self.text.read() {
            match character {
                '\'' => self.until('\'').map(drop)?,
                '"' => self.double_quoted(&mut None)?,
                '\\' => drop(self.text.read()),
                _ if character == open => depth += 1,
                _ if character == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let inside = self.text.slice(start..self.text.at() - 1);
                self.plain &= open == '(' && parse(inside).is_ok_and(|parsed| parsed.plain);
                return Ok(());
            }
        }
        Err(format!("`${open}` is opened and not closed"))
    }

    fn until(&mut self, end: char) -> Result<&'a str, String> {
        self.text.read_until(end).ok_or_else(|| format!("a quote ({end}) is opened and not closed"))
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
