//! Physical lines to logical lines, as modutils' `config.c` (fgets_strip) makes them.

/// modutils reads at most this many bytes as one line (config.c, 2.4).
pub const LONGEST_LINE: usize = 3000;

/// One physical line: its number from 1 and its bytes without the line end.
#[derive(Clone, Copy, Debug)]
pub struct Physical<'a> {
    /// Line number, from 1.
    pub number: usize,
    /// The line as it is in the file, without the line end.
    pub text: &'a str,
}

impl<'a> Physical<'a> {
    /// What stands behind the first `#`.
    fn comment(&self) -> Option<&'a str> {
        let (_, comment) = self.text.split_once('#')?;
        Some(comment.trim_matches(['#', ' ', '\t'])).filter(|comment| !comment.is_empty())
    }

    /// Whether there is anything but blanks and a comment.
    pub fn says_something(&self) -> bool {
        !matches!(self.text.trim_start().chars().next(), None | Some('#'))
    }
}

/// Where a part of a logical line is from.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    number: usize,
    column: usize,
}

/// One logical line: comments cut, continuations joined.
#[derive(Clone, Debug)]
pub struct Logical<'a> {
    /// The physical lines that it is made of.
    pub physical: Vec<Physical<'a>>,
    /// The text that modutils parses.
    pub text: String,
    /// Why it cannot be read as modutils would.
    pub defect: Option<String>,
    /// The comments right above it and behind it, without their `#`.
    pub comments: Vec<&'a str>,
    pieces: Vec<Piece>,
}

impl Logical<'_> {
    /// The line number and column (both from 1) in the file of a byte offset in [`Logical::text`].
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let index = self.pieces.partition_point(|piece| piece.start <= offset).saturating_sub(1);
        self.pieces.get(index).map_or((0, 0), |piece| (piece.number, piece.column + offset - piece.start + 1))
    }

    fn append(&mut self, line: Physical, part: &str, indent: usize) {
        let glue = indent > 0 && !self.pieces.is_empty();
        if glue {
            self.text.push(' ');
        }
        self.pieces.push(Piece { start: self.text.len(), number: line.number, column: indent });
        self.text.push_str(part);
    }

    fn check(&mut self) {
        let too_long = self.physical.iter().any(|line| line.text.len() >= LONGEST_LINE);
        if self.text.contains('\0') || self.physical.iter().any(|line| line.text.contains('\0')) {
            self.defect = Some("a NUL byte: modutils reads the line only up to it".to_owned());
        } else if too_long || self.text.len() >= LONGEST_LINE {
            self.defect = Some(format!(
                "longer than {LONGEST_LINE} bytes: modutils takes the rest for further lines; shorten or split it"
            ));
        }
    }
}

/// Splits a file into logical lines. Blank lines and comments give none.
pub fn logical_lines(text: &str) -> impl Iterator<Item = Logical<'_>> {
    let mut rest = text
        .split('\n')
        .enumerate()
        .map(|(index, text)| Physical { number: index + 1, text: text.strip_suffix('\r').unwrap_or(text) });
    let mut above = Vec::new();
    std::iter::from_fn(move || {
        loop {
            let mut logical = join(rest.next()?, &mut rest);
            let says_something = !logical.text.trim().is_empty()
                || logical.physical.iter().any(Physical::says_something)
                || logical.defect.is_some();
            let comments: Vec<&str> = logical.physical.iter().filter_map(Physical::comment).collect();
            if says_something {
                logical.comments = std::mem::take(&mut above);
                logical.comments.extend(comments);
                return Some(logical);
            }
            if comments.is_empty() {
                above.clear();
            }
            above.extend(comments);
        }
    })
}

fn join<'a>(first: Physical<'a>, rest: &mut impl Iterator<Item = Physical<'a>>) -> Logical<'a> {
    let mut logical = Logical {
        physical: Vec::new(),
        text: String::new(),
        defect: None,
        comments: Vec::new(),
        pieces: Vec::new(),
    };
    let mut next = Some(first);
    while let Some(line) = next {
        logical.physical.push(line);
        let visible = line.text.split('#').next().unwrap_or_default().trim_end();
        let body = visible.trim_start();
        let indent = visible.len() - body.len();
        let (part, goes_on) = match body.strip_suffix('\\') {
            Some(part) if part.ends_with('\\') => (part, false),
            Some(part) => (part, true),
            None => (body, false),
        };
        logical.append(line, part, indent);
        next = if goes_on { rest.next() } else { None };
    }
    logical.check();
    logical
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(input: &str) -> Vec<String> {
        logical_lines(input).map(|line| line.text).collect()
    }

    #[test]
    fn comments_are_cut_also_inside_quotes() {
        assert_eq!(texts("post-install x echo \"a#b\"\n# c\n\n  # d"), ["post-install x echo \"a"]);
    }

    #[test]
    fn comments_above_and_behind_belong_to_a_line() {
        let text = "# old news\n\n# the card\n## in the corner\nalias eth0 ne # slow\nalias eth1 ne";
        let comments: Vec<_> = logical_lines(text).map(|line| line.comments).collect();
        assert_eq!(comments, [vec!["the card", "in the corner", "slow"], vec![]]);
    }

    #[test]
    fn a_backslash_continues_also_before_blanks_and_comments() {
        assert_eq!(texts("a b\\\nc"), ["a bc"]);
        assert_eq!(texts("a b\\  \n   c"), ["a b c"]);
        assert_eq!(texts("foo \\ # x\nbar"), ["foo bar"]);
        assert_eq!(texts("foo # x \\\nbar"), ["foo", "bar"]);
        assert_eq!(texts("foo\\\\\nbar"), ["foo\\", "bar"]);
        assert_eq!(texts("foo \\"), ["foo "]);
    }

    #[test]
    fn places_point_into_the_file() {
        let line = logical_lines("\nalias a \\\n   b").next().unwrap();
        assert_eq!(line.text, "alias a  b");
        assert_eq!(line.place(0), (2, 1));
        assert_eq!(line.place(9), (3, 4));
    }

    #[test]
    fn dos_ends_and_a_missing_last_end_are_read() {
        assert_eq!(texts("alias a b\r\nalias c d\r"), ["alias a b", "alias c d"]);
    }
}
