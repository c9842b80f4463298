//! Names then and now, from the tables under `data/`.

pub mod modules;
pub(crate) mod parameters;
pub(crate) mod requests;

/// The rows of a table: tab-separated fields, `#` lines left out.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

/// Whether a name is made of characters that neither a shell nor kmod takes for more than they are.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+,:@".contains(c))
}
