//! Values that can be wrong: each is checked where it is read, so that the line of a mistake is known.
#![forbid(unsafe_code)]

use kerneld_protocol::request::Command;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Longest text of a request: the 1024 bytes that kerneld read, less the longest header.
const MAX_TEXT: usize = 1012;

/// What [`ParametersOf::AllWritable`] is called in the file.
const ALL_WRITABLE: &str = "all-writable";

/// What is saved of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ParametersOf {
    /// `"all-writable"`: every parameter below `/sys/module/NAME/parameters` that may be written.
    AllWritable,
    /// These, in this order.
    Listed(Vec<Parameter>),
}

/// A parameter of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// A file below `/sys/module/NAME/parameters`, by its name.
    OfModule(String),
    /// A file below `/proc/sys`, by its path.
    ProcSys(PathBuf),
}

impl TryFrom<String> for Parameter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !text.is_empty() && text.chars().all(word) {
            return Ok(Parameter::OfModule(text));
        }
        let path = Path::new(&text);
        let below = path.strip_prefix("/proc/sys").is_ok_and(|rest| rest.components().next().is_some());
        let plain = path.components().all(|part| part != Component::ParentDir) && !text.contains('\0');
        if below && plain {
            return Ok(Parameter::ProcSys(path.to_owned()));
        }
        Err(format!("{text:?} is neither a parameter's name nor a path below /proc/sys"))
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer)
    }
}

impl<'de> Deserialize<'de> for ParametersOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Settings;
        impl<'de> Visitor<'de> for Settings {
            type Value = ParametersOf;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of parameters, or {ALL_WRITABLE:?}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ParametersOf, E> {
                match text {
                    ALL_WRITABLE => Ok(ParametersOf::AllWritable),
                    _ => Err(E::unknown_variant(text, &[ALL_WRITABLE])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ParametersOf, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(ParametersOf::Listed)
            }
        }
        deserializer.deserialize_any(Settings)
    }
}

/// Text that stands for something; `None` from `read` is a mistake.
struct Text<F> {
    expected: &'static str,
    read: F,
}

impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Text that becomes a `T` or says why it cannot. Serde's own `try_from` would give the line of the whole list.
pub(crate) fn checked<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<String, Error: fmt::Display>,
{
    struct Checked<T>(PhantomData<T>);
    impl<T: TryFrom<String, Error: fmt::Display>> Visitor<'_> for Checked<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::try_from(text.to_owned()).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Checked(PhantomData))
}

/// Permission bits.
pub(crate) fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let read = |text: &str| u16::from_str_radix(text, 8).ok().filter(|mode| digits(text) && *mode <= 0o777);
    deserializer.deserialize_str(Text { expected: "a mode, octal digits in quotes like \"0660\"", read })
}

/// A path that does not depend on where the daemon is.
pub(crate) fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let read = |text: &str| is_absolute(text).then(|| PathBuf::from(text));
    deserializer.deserialize_str(Text { expected: "an absolute path", read })
}

/// The same where there is no default.
pub(crate) fn some_absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    absolute(deserializer).map(Some)
}

fn is_absolute(text: &str) -> bool {
    text.starts_with('/') && !text.contains('\0')
}

/// A text that a request can carry.
pub(crate) fn request_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let read = |text: &str| (1..=MAX_TEXT).contains(&text.len()).then(|| text.to_owned());
    deserializer.deserialize_str(Text { expected: "a text of 1 to 1012 bytes", read })
}

/// A program and its arguments.
pub(crate) fn argv<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let argv = Vec::<String>::deserialize(deserializer)?;
    let sound = argv.first().is_some_and(|program| is_absolute(program));
    if sound && !argv.iter().any(|word| word.contains('\0')) {
        return Ok(argv);
    }
    Err(D::Error::custom("argv is a list of words, none with a NUL, the first an absolute path"))
}

/// A whole number in a range.
struct Whole {
    range: RangeInclusive<u64>,
    unit: &'static str,
}

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a whole number{} from {} to {}", self.unit, self.range.start(), self.range.end())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        let checked = u64::try_from(number).ok().filter(|number| self.range.contains(number));
        checked.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

/// A number of things.
pub(crate) fn within<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64, Error: fmt::Display>,
{
    let number = deserializer.deserialize_i64(Whole { range: MIN..=MAX, unit: "" })?;
    T::try_from(number).map_err(D::Error::custom)
}

/// A span of time.
pub(crate) fn seconds<'de, D, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let whole = Whole { range: MIN..=MAX, unit: " of seconds" };
    deserializer.deserialize_i64(whole).map(Duration::from_secs)
}

/// A message type that kerneld itself does not use.
pub(crate) fn persist_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let number: u8 = within::<_, _, 1, 254>(deserializer)?;
    match Command::from_number(i64::from(number)) {
        Command::Other(_) => Ok(number),
        known => Err(D::Error::custom(format!("{number} is kerneld's {known}: choose another number"))),
    }
}
