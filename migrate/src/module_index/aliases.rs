//! The kernel's own aliases: names by which modules.alias and the built-in parts answer.

use std::collections::HashMap;

use glob::Pattern;
use kerneld_kmod::underscored;

/// Aliases of one kernel. Those of devices on a bus (`pci:…`) are left out: nobody asks for them by hand.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    /// Each alias as depmod writes it, and its module.
    all: Vec<(String, String)>,
    /// The modules of each pattern, by its underscored form.
    by_pattern: HashMap<String, Vec<String>>,
    /// The patterns that stand for more than one name.
    wild: Vec<(Pattern, String)>,
}

impl Aliases {
    /// Reads modules.alias and the records of modules.builtin.modinfo.
    pub(crate) fn read(text: &str, records: &[u8]) -> Aliases {
        let mut aliases = Aliases::default();
        for line in text.lines() {
            if let Some((pattern, module)) =
                line.strip_prefix("alias ").and_then(|line| line.rsplit_once(' '))
            {
                aliases.add(pattern, module);
            }
        }
        for record in records.split(|byte| *byte == 0) {
            if let Some((module, pattern)) = String::from_utf8_lossy(record).split_once(".alias=") {
                aliases.add(pattern, module);
            }
        }
        aliases
    }

    fn add(&mut self, pattern: &str, module: &str) {
        if pattern.contains(':') {
            return;
        }
        let key = underscored(pattern);
        if pattern.contains(['*', '?', '['])
            && let Ok(compiled) = Pattern::new(&key)
        {
            self.wild.push((compiled, key.clone()));
        }
        let modules = self.by_pattern.entry(key).or_default();
        if !modules.iter().any(|known| underscored(known) == underscored(module)) {
            modules.push(module.to_owned());
        }
        self.all.push((pattern.to_owned(), module.to_owned()));
    }

    /// Each alias and its module.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.all
    }

    /// The modules of exactly this pattern.
    pub(crate) fn of_pattern(&self, pattern: &str) -> &[String] {
        self.by_pattern.get(&underscored(pattern)).map_or(&[], Vec::as_slice)
    }

    /// The modules that answer a request for this name.
    pub(crate) fn answer(&self, name: &str) -> Vec<&str> {
        let name = underscored(name);
        let exact = self.of_pattern(&name).iter();
        let matching = self.wild.iter().filter(|(pattern, _)| pattern.matches(&name));
        let mut modules: Vec<&str> =
            exact.chain(matching.flat_map(|(_, key)| self.of_pattern(key))).map(String::as_str).collect();
        modules.dedup();
        modules
    }

    /// The modules of aliases below a pattern that ends in `-*`: `char-major-116-1` below `char-major-116-*`.
    pub(crate) fn finer(&self, pattern: &str) -> Vec<&str> {
        let Some(stem) = pattern.strip_suffix('*').map(underscored) else { return Vec::new() };
        let below = |alias: &str| {
            let alias = underscored(alias);
            alias.strip_prefix(&stem).is_some_and(|rest| rest != "*")
        };
        self.all.iter().filter(|(alias, _)| below(alias)).map(|(_, module)| module.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_answered_as_kmod_answers_them() {
        let text = "alias char-major-116-* snd\nalias char-major-116-1 snd_seq\nalias sound-service-?-0 snd-mixer-oss\n\
                    alias des des_generic\nalias pci:v0001* nic\n";
        let aliases = Aliases::read(text, b"agpgart.alias=char-major-10-175\0x.parm=y:z");
        for (name, modules) in [
            ("char-major-116-1", &["snd_seq", "snd"][..]),
            ("char_major_116_7", &["snd"]),
            ("sound-service-1-0", &["snd-mixer-oss"]),
            ("des", &["des_generic"]),
            ("char-major-10-175", &["agpgart"]),
            ("pci:v0001", &[]),
            ("nothing", &[]),
        ] {
            assert_eq!(aliases.answer(name), modules, "{name}");
        }
        assert_eq!(aliases.finer("char-major-116-*"), ["snd_seq"]);
        assert_eq!(aliases.finer("char-major-10-*"), ["agpgart"]);
        assert_eq!(aliases.of_pattern("char_major-116-*"), ["snd"]);
    }
}
