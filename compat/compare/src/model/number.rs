//! Numbers in words of the command line and of kdstat.
#![forbid(unsafe_code)]

/// A number as C's atoi reads it: an int, of which what is too long for it loses its upper bits.
pub(super) fn number_at_start(text: &str) -> i32 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let end = text[sign..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| sign + end);
    text[..end].trim_start_matches('+').parse::<i64>().unwrap_or(0) as i32
}
