//! Values that drivers had kerneld keep, in an old system's persist.gdbm: `options M irq=?KEY:DEFAULT` asks for them.

use std::collections::HashMap;
use std::io::Write;

use kerneld_persist::{Store, ints};

use super::bytes::from_bytes;
use crate::root::Root;

/// The kept values, by key.
pub(crate) type Kept = HashMap<String, String>;

/// Reads the kept values of an old system; none when there is no file, or it cannot be understood.
pub(crate) fn read(root: &Root) -> Kept {
    let releases = root.list("/lib/modules").into_iter();
    let mut paths = releases.map(|release| format!("/lib/modules/{release}/persist.gdbm"));
    let bytes = paths.find_map(|path| root.read(&path).ok().flatten()).map(|content| content.bytes);
    bytes.and_then(|bytes| values(&bytes)).unwrap_or_default()
}

/// The library reads a file by its path, and the one in the root is not to be opened a second time.
fn values(bytes: &[u8]) -> Option<Kept> {
    let mut copy = tempfile::NamedTempFile::new().ok()?;
    copy.write_all(bytes).ok()?;
    let pairs = Store::new(copy.path()).list().ok()?;
    let text = |bytes: &[u8]| from_bytes(bytes).trim_end_matches('\0').to_owned();
    Some(
        pairs
            .iter()
            .map(|(key, value)| (text(key), ints::render(value).unwrap_or_else(|_| text(value))))
            .collect(),
    )
}

/// The value of a word like `irq=?KEY:DEFAULT`, as `irq=VALUE`, with a remark; `None` for any other word. The value is
/// missing where nothing is kept and there is no default.
pub(crate) fn resolve(word: &str, kept: &Kept) -> Option<(Option<String>, String)> {
    let (parameter, asked) = word.split_once("=?")?;
    let (key, default) = asked.split_once(':').map_or((asked, None), |(key, default)| (key, Some(default)));
    Some(match (kept.get(key), default) {
        (Some(value), _) => (
            Some(format!("{parameter}={value}")),
            format!("{parameter} is what persist.gdbm keeps under {key}"),
        ),
        (None, Some(default)) => (
            Some(format!("{parameter}={default}")),
            format!("{parameter} is its default: persist.gdbm keeps nothing under {key}"),
        ),
        (None, None) => (
            None,
            format!(
                "{parameter}= is left out: persist.gdbm keeps nothing under {key}, and there is no default"
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_values_go_before_defaults() {
        let kept =
            Kept::from([("sb irq".to_owned(), "0x5".to_owned()), ("io".to_owned(), "0x220".to_owned())]);
        let value = |word: &str| resolve(word, &kept).map(|(value, _)| value);
        assert_eq!(value("io=?io:0x240"), Some(Some("io=0x220".to_owned())));
        assert_eq!(value("dma=?dma:1,3"), Some(Some("dma=1,3".to_owned())));
        assert_eq!(value("dma=?dma"), Some(None));
        assert_eq!(value("irq=7"), None);
    }
}
