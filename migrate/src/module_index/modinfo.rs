//! The parameters that a module takes, from the information in its file.

use std::collections::BTreeMap;
use std::io::{self, Read};

use kerneld_kmod::underscored;
use object::{Object, ObjectSection, ObjectSymbol};

/// A module's file is read up to this size once it is unpacked, in bytes; the largest of today have 20 MiB.
const LARGEST_MODULE: u64 = 128 << 20;

/// What a parameter holds (`parmtype` of modinfo).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Integer,
    Unsigned,
    Bool,
    /// Text, or a kind that this program does not know.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Parameter {
    of: Type,
    is_array: bool,
}

/// Whether a value suits a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suits {
    Yes,
    /// The kernel would refuse the load; this is what it wants instead.
    No(&'static str),
}

/// The parameters of one module, by underscored name (the kernel takes `-` for `_` in them).
#[derive(Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    /// Reads a module's file. `name` tells how it is packed.
    ///
    /// # Errors
    /// When it cannot be unpacked or is not an ELF file.
    pub(crate) fn of_file(name: &str, bytes: &[u8]) -> io::Result<Parameters> {
        let unpacked = unpack(name, bytes)?;
        let file = object::File::parse(&*unpacked).map_err(io::Error::other)?;
        let mut parameters = Parameters::default();
        if let Some(section) = file.section_by_name(".modinfo") {
            let records = section.data().map_err(io::Error::other)?;
            records.split(|byte| *byte == 0).for_each(|record| parameters.add(record));
        }
        // one that was made by module_param_call and has no description is known by its symbol only
        for name in file.symbols().filter_map(|symbol| symbol.name().ok()?.strip_prefix("__param_")) {
            if !["str_", "arr_", "ops_", "string_"].iter().any(|prefix| name.starts_with(prefix)) {
                parameters.entry(name);
            }
        }
        Ok(parameters)
    }

    /// The parameters of a built-in module, from the records of `modules.builtin.modinfo`.
    pub(crate) fn of_builtin(module: &str, records: &[u8]) -> Parameters {
        let mut parameters = Parameters::default();
        for record in records.split(|byte| *byte == 0) {
            let text = String::from_utf8_lossy(record);
            if let Some((owner, rest)) = text.split_once('.')
                && underscored(owner) == underscored(module)
            {
                parameters.add(rest.as_bytes());
            }
        }
        parameters
    }

    fn entry(&mut self, name: &str) -> &mut Parameter {
        self.0.entry(underscored(name)).or_insert(Parameter { of: Type::Other, is_array: false })
    }

    /// Takes a record: `parm=NAME:DESCRIPTION` or `parmtype=NAME:TYPE`.
    fn add(&mut self, record: &[u8]) {
        let text = String::from_utf8_lossy(record);
        let Some((kind, (name, rest))) =
            text.split_once('=').and_then(|(kind, text)| Some((kind, text.split_once(':')?)))
        else {
            return;
        };
        match kind {
            "parm" => drop(self.entry(name)),
            "parmtype" => *self.entry(name) = parameter(rest),
            _ => {}
        }
    }

    /// Whether the module takes this parameter. Each takes `dyndbg`.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == "dyndbg" || self.0.contains_key(&underscored(name))
    }

    /// Whether the kernel would take this value.
    pub(crate) fn suits(&self, name: &str, value: &str) -> Suits {
        let Some(Parameter { of, is_array }) = self.0.get(&underscored(name)) else { return Suits::Yes };
        let fits = |value: &str| match of {
            Type::Integer => is_number(value.strip_prefix(['-', '+']).unwrap_or(value)),
            Type::Unsigned => is_number(value.strip_prefix('+').unwrap_or(value)),
            Type::Bool => is_bool(value),
            Type::Other => true,
        };
        let value = value.trim_matches('"');
        if if *is_array { value.split(',').all(fits) } else { fits(value) } {
            return Suits::Yes;
        }
        Suits::No(match (of, is_array) {
            (Type::Bool, false) => "y or n",
            (Type::Bool, true) => "y or n, several separated by commas",
            (_, false) => "one number",
            (_, true) => "numbers, separated by commas",
        })
    }
}

fn parameter(text: &str) -> Parameter {
    let (word, is_array) = match text.strip_prefix("array of ") {
        Some(word) => (word, true),
        None => (text, false),
    };
    let of = match word {
        "int" | "short" | "long" => Type::Integer,
        "uint" | "ushort" | "ulong" | "byte" | "ullong" | "hexint" => Type::Unsigned,
        "bool" | "invbool" => Type::Bool,
        _ => Type::Other,
    };
    Parameter { of, is_array }
}

/// A number as the kernel's kstrtol with base 0 reads it.
fn is_number(text: &str) -> bool {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        (None, Some(octal)) => octal.bytes().all(|byte| matches!(byte, b'0'..=b'7')),
        (None, None) => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// A truth value as the kernel's kstrtobool reads it.
fn is_bool(text: &str) -> bool {
    let mut letters = text.chars().map(|c| c.to_ascii_lowercase());
    match letters.next() {
        Some('y' | 'n' | '0' | '1') | None => true,
        Some('o') => matches!(letters.next(), Some('n' | 'f')),
        _ => false,
    }
}

fn unpack(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let mut read = |reader: &mut dyn Read| reader.take(LARGEST_MODULE).read_to_end(&mut unpacked);
    match name.rsplit('.').next() {
        Some("gz") => read(&mut flate2::read::GzDecoder::new(bytes))?,
        Some("xz") => read(&mut lzma_rust2::XzReader::new(bytes, true))?,
        Some("zst") => read(&mut ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other)?)?,
        _ => return Ok(bytes.to_owned()),
    };
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(records: &str) -> Parameters {
        Parameters::of_builtin("8250-core", records.as_bytes())
    }

    #[test]
    fn records_name_parameters_and_their_types() {
        let found = parameters(
            "8250_core.parm=nr_uarts:Maximum number\0 8250_core.x=y\0\
             8250_core.parmtype=nr_uarts:uint\x008250_core.parmtype=share-irqs:bool\0other.parm=mine:no\0\
             8250_core.parmtype=ports:array of int\x008250_core.parm=text:only described",
        );
        for (name, there) in
            [("nr_uarts", true), ("share_irqs", true), ("mine", false), ("text", true), ("dyndbg", true)]
        {
            assert_eq!(found.has(name), there, "{name}");
        }
        for (name, value, fits) in [
            ("nr_uarts", "4", true),
            ("nr_uarts", "0x1f", true),
            ("nr_uarts", "-1", false),
            ("nr_uarts", "09", false),
            ("nr_uarts", "1,2", false),
            ("share-irqs", "on", true),
            ("share_irqs", "maybe", false),
            ("ports", "-1,0x300", true),
            ("ports", "a,b", false),
            ("text", "anything", true),
            ("unknown", "anything", true),
        ] {
            assert_eq!(found.suits(name, value) == Suits::Yes, fits, "{name}={value}");
        }
    }

    #[test]
    fn what_is_not_a_module_is_an_error() {
        for name in ["a.ko", "a.ko.gz", "a.ko.xz", "a.ko.zst"] {
            assert!(Parameters::of_file(name, b"not a module").is_err(), "{name}");
        }
    }
}
