//! A text read from left to right.

use std::ops::Range;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    pub fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// A part of the text, read or not.
    pub fn slice(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// The next character, left where it is.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads a character.
    pub fn read(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Reads as many bytes (they have to end between two characters); fewer where there are no more.
    pub fn read_bytes(&mut self, bytes: usize) -> &'a str {
        let (taken, _) = self.rest().split_at(bytes.min(self.rest().len()));
        self.at += taken.len();
        taken
    }

    /// Reads characters as long as they fit.
    pub fn read_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        self.read_bytes(rest.find(|c| !fits(c)).unwrap_or(rest.len()))
    }

    /// Reads as far as a character, and over it; what stands before it. Reads nothing where there is none.
    pub fn read_until(&mut self, end: char) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(end)?;
        self.at += before.len() + end.len_utf8();
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_read_whole_and_once() {
        let mut scanner = Scanner::new("ä=1 'b'c");
        assert_eq!((scanner.peek(), scanner.read(), scanner.at()), (Some('ä'), Some('ä'), 2));
        assert_eq!(scanner.read_while(|c| c != ' '), "=1");
        assert_eq!(scanner.read_until('"'), None);
        assert_eq!(scanner.read_until('\''), Some(" "));
        assert_eq!((scanner.read_until('\''), scanner.rest()), (Some("b"), "c"));
        assert_eq!((scanner.read_bytes(9), scanner.read(), scanner.slice(0..2)), ("c", None, "ä"));
    }
}
