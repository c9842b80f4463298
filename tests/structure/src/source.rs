//! Packages, their crates and modules, as cargo and rustc would find them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Item, ItemMod};

/// A package of the workspace.
pub struct Package {
    /// As in its Cargo.toml.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its library and its programs.
    pub crates: Vec<Crate>,
}

/// A library or a program.
pub struct Crate {
    /// The file it starts with.
    pub root: PathBuf,
    /// Its modules by their path; the root's is empty.
    pub modules: BTreeMap<Vec<String>, Module>,
}

/// A module without its tests. A module within braces is one of its own.
pub struct Module {
    /// The file it stands in.
    pub file: PathBuf,
    /// What it holds, the modules below it apart.
    pub items: Vec<Item>,
}

/// The packages of the workspace in `top`.
///
/// # Errors
///
/// A file that is missing or cannot be parsed, by name.
pub fn workspace(top: &Path) -> Result<Vec<Package>, String> {
    let manifest = manifest(top)?;
    let members = manifest["workspace"]["members"].as_array().ok_or("the workspace has no members")?;
    let folders = members.iter().filter_map(|member| Some(top.join(member.as_str()?)));
    std::iter::once(top.to_owned()).chain(folders).map(|folder| package(&folder)).collect()
}

/// The package in `folder`.
///
/// # Errors
///
/// A file that is missing or cannot be parsed, by name.
pub fn package(folder: &Path) -> Result<Package, String> {
    let name = manifest(folder)?["package"]["name"].as_str().unwrap_or_default().to_owned();
    let crates = roots(&folder.join("src")).iter().map(|root| read_crate(root)).collect::<Result<_, _>>()?;
    Ok(Package { name, folder: folder.to_owned(), crates })
}

fn manifest(folder: &Path) -> Result<toml::Table, String> {
    let path = folder.join("Cargo.toml");
    read(&path)?.parse().map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The files that cargo takes for the start of a crate.
fn roots(source: &Path) -> Vec<PathBuf> {
    let programs = entries(&source.join("bin")).into_iter();
    let programs = programs.map(|entry| if entry.is_dir() { entry.join("main.rs") } else { entry });
    let usual = [source.join("lib.rs"), source.join("main.rs")];
    usual.into_iter().chain(programs).filter(|path| path.is_file()).collect()
}

/// What `folder` holds, in order; nothing where there is no such folder.
#[must_use]
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Every Rust file below `folder`.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) = entries(folder).into_iter().partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

fn read_crate(root: &Path) -> Result<Crate, String> {
    let mut modules = BTreeMap::new();
    let folder = root.parent().unwrap_or(root);
    let items = parse(root)?;
    add(&mut modules, Vec::new(), root, folder, items)?;
    Ok(Crate { root: root.to_owned(), modules })
}

fn parse(path: &Path) -> Result<Vec<Item>, String> {
    let parsed = syn::parse_file(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(if is_test(&parsed.attrs) { Vec::new() } else { parsed.items })
}

type Modules = BTreeMap<Vec<String>, Module>;

/// Adds the module of `items`, whose child modules live in `folder`, and those.
fn add(
    modules: &mut Modules,
    path: Vec<String>,
    file: &Path,
    folder: &Path,
    items: Vec<Item>,
) -> Result<(), String> {
    let (children, items): (Vec<_>, Vec<_>) = items
        .into_iter()
        .filter(|item| !is_test(attributes(item)))
        .partition(|item| matches!(item, Item::Mod(_)));
    for child in children {
        let Item::Mod(child) = child else { continue };
        let path = [path.as_slice(), &[child.ident.to_string()]].concat();
        add_child(modules, path, file, folder, child)?;
    }
    modules.insert(path, Module { file: file.to_owned(), items });
    Ok(())
}

fn add_child(
    modules: &mut Modules,
    path: Vec<String>,
    file: &Path,
    folder: &Path,
    child: ItemMod,
) -> Result<(), String> {
    let below = folder.join(child.ident.to_string());
    if let Some((_, items)) = child.content {
        return add(modules, path, file, &below, items);
    }
    let nested = below.join("mod.rs");
    let file = if nested.is_file() { nested } else { below.with_extension("rs") };
    let items = parse(&file)?;
    add(modules, path, &file, &below, items)
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string().replace(' ', "");
        text == "cfg(test)" || text.starts_with("cfg(all(test") || text == "test"
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A package that holds `files`, paths below `src/` with their text.
    pub(crate) fn package_of(files: &[(&str, &str)]) -> Package {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[package]\nname = 'p'\n").unwrap();
        for (path, text) in files {
            let path = folder.path().join("src").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        package(folder.path()).unwrap()
    }

    #[test]
    fn programs_are_crates_beside_the_library() {
        let package =
            package_of(&[("lib.rs", "mod a { mod b {} }"), ("bin/one.rs", ""), ("bin/two/main.rs", "")]);
        let modules: Vec<usize> = package.crates.iter().map(|krate| krate.modules.len()).collect();
        assert_eq!(modules, [3, 1, 1]);
    }

    #[test]
    fn a_module_without_a_file_is_told() {
        let told = std::panic::catch_unwind(|| package_of(&[("lib.rs", "mod missing;")])).err().unwrap();
        assert!(told.downcast_ref::<String>().unwrap().contains("src/missing.rs"));
    }
}
