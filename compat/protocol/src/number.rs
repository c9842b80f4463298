//! Numbers as C's library reads them, for words that C programs read so.
#![forbid(unsafe_code)]

/// A decimal number as `atoi` reads it: blanks, a sign, digits, and whatever comes after is ignored; 0
/// without digits. A number past 64 bits is the nearest that fits.
pub fn atoi(text: &str) -> i64 {
    let (sign, digits) = signed(text);
    number(sign, digits, 10)
}

/// A number as `strtol` with base 0 reads it: like [`atoi`], but `0x10` is sixteen and `010` is eight.
/// `None` where something follows the number, or there is none.
pub fn strtol(text: &str) -> Option<i64> {
    let (sign, digits) = signed(text);
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match (hex, digits.starts_with('0')) {
        (Some(hex), _) => (hex, 16),
        (None, octal) => (digits, if octal { 8 } else { 10 }),
    };
    let whole = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    whole.then(|| number(sign, digits, radix))
}

/// Seconds as [`atoi`] reads them: 0 for a negative number, and the most there is for one that is too long.
pub fn seconds(text: &str) -> u32 {
    u32::try_from(atoi(text).max(0)).unwrap_or(u32::MAX)
}

fn signed(text: &str) -> (i64, &str) {
    let text = text.trim_start();
    match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn number(sign: i64, digits: &str, radix: u32) -> i64 {
    let digits = digits.chars().map_while(|digit| digit.to_digit(radix)).map(i64::from);
    digits.fold(0, |number: i64, digit| number.saturating_mul(radix.into()).saturating_add(sign * digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_atoi_reads_them() {
        assert_eq!(["7", " -3x", "", "x", "+5", "0x1"].map(atoi), [7, -3, 0, 0, 5, 0]);
        assert_eq!(atoi("99999999999999999999"), i64::MAX);
        assert_eq!(atoi("-9223372036854775808"), i64::MIN);
    }

    #[test]
    fn seconds_are_never_negative_and_never_wrap() {
        assert_eq!(["90x", "+5", "-1", "", "4294967297"].map(seconds), [90, 5, 0, 0, u32::MAX]);
    }

    #[test]
    fn numbers_as_strtol_reads_them() {
        assert_eq!(["0x10", "010", "-0X1f", "0", " +9"].map(strtol), [16, 8, -31, 0, 9].map(Some));
        assert_eq!(["", "0x", "08", "9x", "-"].map(strtol), [None; 5]);
    }
}
