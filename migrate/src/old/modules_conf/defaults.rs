//! What modutils assumes without being told: its built-in table, from `data/modutils-defaults.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("../../../data/modutils-defaults.tsv");

/// So many lines that repeat the table in one block, without a comment or a blank line between them, are a dump of
/// it. The kerneld mini-HOWTO told people to start with `modprobe -c | grep -v '^path'`, so many files hold the whole
/// table (130 lines). Vendors' files have many of these lines too, but in sections under comments.
pub const DUMP: usize = 40;

struct Defaults {
    aliases: HashMap<&'static str, Vec<&'static str>>,
    options: HashMap<&'static str, &'static str>,
}

static DEFAULTS: LazyLock<Defaults> = LazyLock::new(|| {
    let mut defaults = Defaults { aliases: HashMap::new(), options: HashMap::new() };
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next(), fields.next()) {
            (Some("alias"), Some(name), Some(target)) => {
                defaults.aliases.entry(name).or_default().push(target)
            }
            (Some("options"), Some(name), Some(words)) => drop(defaults.options.insert(name, words)),
            _ => unreachable!("data/modutils-defaults.tsv: {line}"),
        }
    }
    defaults
});

/// The target of a built-in alias; the latest when there were several.
pub fn alias(name: &str) -> Option<&'static str> {
    DEFAULTS.aliases.get(name).map(|targets| targets[0])
}

/// Whether some modutils had this alias built in.
pub fn is_alias(name: &str, target: &str) -> bool {
    DEFAULTS.aliases.get(name).is_some_and(|targets| targets.contains(&target))
}

/// The built-in options of a name, as one text.
pub fn options(name: &str) -> Option<&'static str> {
    DEFAULTS.options.get(name).copied()
}

/// Every built-in alias.
pub fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFAULTS.aliases.iter().map(|(name, targets)| (*name, targets[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_era_counts_and_the_latest_is_used() {
        assert_eq!(alias("char-major-14"), Some("soundcore"));
        assert!(is_alias("char-major-14", "sound"));
        assert!(!is_alias("char-major-14", "sb"));
        assert_eq!(options("dummy0"), Some("-o dummy0"));
        assert!(aliases().count() > 90);
    }
}
