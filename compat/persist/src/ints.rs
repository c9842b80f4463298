//! Values as people write them: C ints of this machine, separated by commas. Pure.
#![forbid(unsafe_code)]

use kerneld_protocol::number::strtol;
use std::fmt;

/// What is not made of C ints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInts {
    /// A word that a person wrote.
    Word(String),
    /// A stored value.
    Value(Vec<u8>),
}

impl fmt::Display for NotInts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotInts::Word(word) => write!(
                f,
                "'{word}' is not a C int: give it in decimal, as 0x… or in octal after a 0, up to 32 bits"
            ),
            NotInts::Value(value) => {
                let bytes = joined(value.iter().map(|byte| format!("{byte:02x}")), " ");
                write!(f, "{} bytes that are not C ints: {bytes}", value.len())
            }
        }
    }
}

impl std::error::Error for NotInts {}

/// A value as `v1,v2,…` in hexadecimal, as modutils' admpersist printed it.
///
/// # Errors
/// [`NotInts::Value`], when it is not a whole number of ints.
pub fn render(value: &[u8]) -> Result<String, NotInts> {
    match value.as_chunks() {
        (ints, []) => Ok(joined(ints.iter().map(|int| format!("{:#x}", u32::from_ne_bytes(*int))), ",")),
        _ => Err(NotInts::Value(value.to_vec())),
    }
}

/// The value of `v1,v2,…`: decimal, `0x…` or, after a 0, octal, as C's strtol reads it; from -2147483648 to
/// 4294967295 (unsigned ints are told so).
///
/// # Errors
/// [`NotInts::Word`], the first that is not a C int.
pub fn parse(text: &str) -> Result<Vec<u8>, NotInts> {
    let ints: Vec<[u8; 4]> = text.split(',').map(int).collect::<Result<_, _>>()?;
    Ok(ints.concat())
}

fn int(text: &str) -> Result<[u8; 4], NotInts> {
    let signed = |number: i64| i32::try_from(number).ok().map(i32::to_ne_bytes);
    let unsigned = |number: i64| u32::try_from(number).ok().map(u32::to_ne_bytes);
    let read = strtol(text).and_then(|number| signed(number).or_else(|| unsigned(number)));
    read.ok_or_else(|| NotInts::Word(text.to_owned()))
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_int_is_refused() {
        for text in ["", "1,", "x", "0x", "0x-5", "--5", "08", "4294967296", "-2147483649", "1 2"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hexadecimal_octal_and_unsigned_are_ints_too() {
        assert_eq!(parse("010,+5").unwrap(), parse("8,5").unwrap());
        assert_eq!(parse("0x220,0xffffffff,4294967295,-0x1,0").unwrap(), parse("544,-1,-1,-1,0").unwrap());
    }

    #[test]
    fn a_broken_int_is_shown_as_bytes() {
        let told = render(b"abc").map_err(|error| error.to_string());
        assert_eq!(told, Err("3 bytes that are not C ints: 61 62 63".to_owned()));
        assert_eq!(render(b""), Ok(String::new()));
    }

    proptest! {
        #[test]
        fn ints_are_read_back(ints in prop::collection::vec(any::<i32>(), 1..9)) {
            let value: Vec<u8> = ints.iter().flat_map(|int| int.to_ne_bytes()).collect();
            prop_assert_eq!(parse(&render(&value).unwrap()), Ok(value));
        }
    }
}
