//! insmod's `PARAMETER=?KEY:DEFAULT`: what kerneld remembered under a key in `persist.gdbm`, else the default.

use std::io::Write;

use kerneld_persist::{Key, Store};

use crate::root::Root;

/// The file in which an old system kept what its drivers had kerneld remember, as a path below the root.
pub(crate) fn file(root: &Root) -> Option<String> {
    let releases = root.list("/lib/modules").into_iter();
    releases.map(|release| format!("/lib/modules/{release}/persist.gdbm")).find(|path| root.exists(path))
}

/// The parameter, the key and the default of such a word.
pub(crate) fn parts(word: &str) -> Option<(&str, &str, &str)> {
    let (parameter, rest) = word.split_once("=?")?;
    let (key, default) = rest.split_once(':')?;
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.,+/".contains(c));
    (!key.is_empty() && is_plain(parameter) && is_plain(key) && is_plain(default))
        .then_some((parameter, key, default))
}

/// The word with its value, and where that is from; nothing for another word.
pub(crate) fn resolved(root: &Root, word: &str) -> Option<(String, String)> {
    let (parameter, key, default) = parts(word)?;
    let (value, source) = match remembered(root, key) {
        Some((value, file)) => (value, format!("{file} remembers it under {key}")),
        None => (default.to_owned(), format!("nothing is remembered under {key}, so the default counts")),
    };
    Some((format!("{parameter}={value}"), format!("{parameter}={value}: {source}")))
}

/// The value of a key, C ints of the machine that it is from, and the file that has it.
fn remembered(root: &Root, key: &str) -> Option<(String, String)> {
    let file = file(root)?;
    let content = root.read(&file).ok()??;
    // the database is read through the root, never by a path that could lead out of it
    let mut copy = tempfile::NamedTempFile::new().ok()?;
    copy.write_all(&content.bytes).ok()?;
    let value = Store::new(copy.path()).get(&Key::new(key.as_bytes()).ok()?).ok()??;
    let (ints, rest) = value.as_chunks();
    let texts: Vec<String> = ints.iter().map(|int| i32::from_ne_bytes(*int).to_string()).collect();
    (rest.is_empty() && !texts.is_empty()).then(|| (texts.join(","), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_of_that_form_are_taken() {
        assert_eq!(parts("irq=?eth0irq:10"), Some(("irq", "eth0irq", "10")));
        assert_eq!(parts("io=?io:0x300,0x320"), Some(("io", "io", "0x300,0x320")));
        for other in ["irq=10", "irq=?key", "irq=?:10", "irq=?a*:10", "irq=a?b:c"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
