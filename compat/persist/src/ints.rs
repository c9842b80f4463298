//! Values as people write them: C ints of this machine, separated by commas. Pure.
#![forbid(unsafe_code)]

/// A value as `v1,v2,…`.
///
/// # Errors
/// Its bytes in hexadecimal, when there is no whole number of ints.
pub fn render(value: &[u8]) -> Result<String, String> {
    match value.as_chunks() {
        (ints, []) => Ok(joined(ints.iter().map(|int| i32::from_ne_bytes(*int).to_string()), ",")),
        _ => Err(joined(value.iter().map(|byte| format!("{byte:02x}")), " ")),
    }
}

/// The value of `v1,v2,…`: decimal or `0x…`, from -2147483648 to 4294967295 (unsigned ints are told so).
///
/// # Errors
/// A sentence about the first that is no C int; a number with a leading 0 is refused, for C would
/// read it as octal and people do not.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let ints: Vec<[u8; 4]> = text.split(',').map(int).collect::<Result<_, _>>()?;
    Ok(ints.concat())
}

fn int(text: &str) -> Result<[u8; 4], String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok(),
        None if is_decimal(digits) => digits.parse().ok(),
        _ => None,
    };
    let bytes = number.map(|number: i64| sign * number).and_then(|number| {
        let unsigned = || u32::try_from(number).ok().map(u32::to_ne_bytes);
        i32::try_from(number).ok().map(i32::to_ne_bytes).or_else(unsigned)
    });
    bytes.ok_or_else(|| format!("'{text}' is no C int: give decimal or 0x…, up to 32 bits"))
}

fn is_decimal(digits: &str) -> bool {
    digits == "0" || digits.starts_with(|c: char| c.is_ascii_digit() && c != '0')
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
        for text in ["", "1,", "x", "0x", "0x-5", "--5", "+5", "010", "4294967296", "-2147483649", "1 2"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hexadecimal_and_unsigned_are_ints_too() {
        assert_eq!(parse("0x220,0xffffffff,4294967295,-0x1,0").unwrap(), parse("544,-1,-1,-1,0").unwrap());
    }

    #[test]
    fn a_broken_int_is_shown_as_bytes() {
        assert_eq!(render(b"abc"), Err("61 62 63".to_owned()));
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
