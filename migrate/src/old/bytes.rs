//! Bytes of old files as text and back, without losing one.
//!
//! Files of the 1990s are ASCII, Latin-1 or, rarely, UTF-8. A byte that is not part of valid UTF-8 becomes
//! one character of a private range (U+F700 + byte), and [`to_bytes`] turns it back, so that a command in
//! Latin-1 comes out byte for byte as it went in.

const RAW: u32 = 0xF700;

fn raw(byte: u8) -> char {
    char::from_u32(RAW + u32::from(byte)).expect("U+F700..=U+F7FF are characters")
}

fn is_raw(character: char) -> bool {
    (RAW..=RAW + 0xFF).contains(&u32::from(character))
}

/// Any bytes as text; [`to_bytes`] is its exact inverse.
pub fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_raw(character) {
                text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(raw));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(raw));
    }
    text
}

/// The bytes that [`from_bytes`] read.
pub fn to_bytes(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        if is_raw(character) {
            bytes.push((u32::from(character) - RAW) as u8);
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    bytes
}

/// The text as a person should see it: lone bytes shown as Latin-1, control characters escaped.
pub fn for_display(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let character =
            if is_raw(character) { char::from((u32::from(character) - RAW) as u8) } else { character };
        match character {
            '\t' => shown.push('\t'),
            control if control.is_control() => shown.extend(control.escape_default()),
            plain => shown.push(plain),
        }
    }
    shown
}

/// As [`for_display`], with line ends kept.
pub fn lines_for_display(text: &str) -> String {
    text.lines().map(for_display).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all[..], b"gr\xfcn", "grün\u{F712}".as_bytes(), b"\xef\xbb\xbfalias", b""] {
            assert_eq!(to_bytes(&from_bytes(bytes)), bytes);
        }
    }

    #[test]
    fn lone_bytes_are_shown_as_latin_1() {
        assert_eq!(for_display(&from_bytes(b"gr\xfcn\r")), "grün\\r");
    }
}
