//! Which names a module mentions, in full: `use` lines followed, `crate`, `self` and `super` written out.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{Item, ItemUse, UseTree};

use crate::source::{Crate, Module};

/// A path by its parts.
pub type Name = Vec<String>;

/// Re-exports of re-exports end somewhere; circles of them do not.
const DEPTH: usize = 16;

/// What the modules of a crate mention.
pub struct Mentions {
    /// Each module with the modules of the same crate that it mentions, itself left out.
    pub inner: BTreeMap<Name, Vec<Name>>,
    /// Each module with the names from other crates that it mentions.
    pub outer: BTreeMap<Name, Vec<Name>>,
}

/// What every module of `krate` mentions.
#[must_use]
pub fn mentions(krate: &Crate) -> Mentions {
    let scopes = Scopes::of(krate);
    let mut found = Mentions { inner: BTreeMap::new(), outer: BTreeMap::new() };
    for (path, module) in &krate.modules {
        let (inner, outer): (Vec<_>, Vec<_>) = written(module)
            .iter()
            .map(|name| scopes.resolve(path, name, DEPTH))
            .partition(|place| place.is_inner());
        found.inner.insert(path.clone(), unique(inner, |place| place != path));
        found.outer.insert(path.clone(), unique(outer, |_| true));
    }
    found
}

fn unique(places: Vec<Place>, wanted: impl Fn(&Name) -> bool) -> Vec<Name> {
    let mut names: Vec<Name> = places.into_iter().map(Place::into_name).filter(wanted).collect();
    names.sort();
    names.dedup();
    names
}

enum Place {
    Inner(Name),
    Outer(Name),
}

impl Place {
    fn is_inner(&self) -> bool {
        matches!(self, Self::Inner(_))
    }

    fn into_name(self) -> Name {
        match self {
            Self::Inner(name) | Self::Outer(name) => name,
        }
    }
}

/// What each module's `use` lines bind, by the name they bind it to.
struct Scopes(BTreeMap<Name, BTreeMap<String, Name>>);

impl Scopes {
    fn of(krate: &Crate) -> Self {
        Self(krate.modules.iter().map(|(path, module)| (path.clone(), bindings(module))).collect())
    }

    /// The module that `name`, written in module `from`, comes from.
    fn resolve(&self, from: &Name, name: &[String], depth: usize) -> Place {
        match name.first().map(String::as_str) {
            Some("crate") => self.descend(Name::new(), &name[1..], depth),
            Some("self") => self.descend(from.clone(), &name[1..], depth),
            Some("super") => self.descend(from[..from.len().saturating_sub(1)].to_vec(), &name[1..], depth),
            Some(_) if self.knows(from, &name[0]) => self.descend(from.clone(), name, depth),
            _ => Place::Outer(name.to_vec()),
        }
    }

    fn knows(&self, module: &Name, name: &str) -> bool {
        self.0.contains_key(&below(module, name)) || self.0[module].contains_key(name)
    }

    fn descend(&self, module: Name, name: &[String], depth: usize) -> Place {
        let Some(first) = name.first() else { return Place::Inner(module) };
        if first == "super" || first == "self" {
            return self.resolve(&module, name, depth);
        }
        let child = below(&module, first);
        if self.0.contains_key(&child) {
            return self.descend(child, &name[1..], depth);
        }
        match self.0[&module].get(first) {
            Some(bound) if depth > 0 => self.resolve(&module, &[bound, &name[1..]].concat(), depth - 1),
            _ => Place::Inner(module),
        }
    }
}

fn below(module: &Name, name: &str) -> Name {
    [module.as_slice(), &[name.to_owned()]].concat()
}

fn bindings(module: &Module) -> BTreeMap<String, Name> {
    let leaves = uses(module);
    leaves.into_iter().filter(|(bound, name)| bound != "*" && name.len() > 1).collect()
}

/// Every path that `module` writes, in `use` lines or elsewhere.
fn written(module: &Module) -> Vec<Name> {
    let mut found: Vec<Name> = uses(module).into_iter().map(|(_, name)| name).collect();
    for item in &module.items {
        if !matches!(item, Item::Use(_)) {
            paths(item.to_token_stream(), &mut found);
        }
    }
    found
}

/// What `use` lines of `module`, those within functions too, bind: the name bound (`*` for all), the path in full.
fn uses(module: &Module) -> Vec<(String, Name)> {
    struct Uses(Vec<(String, Name)>);
    impl<'a> Visit<'a> for Uses {
        fn visit_item_use(&mut self, item: &'a ItemUse) {
            leaves(&item.tree, Name::new(), &mut self.0);
        }
    }
    let mut found = Uses(Vec::new());
    module.items.iter().for_each(|item| found.visit_item(item));
    found.0
}

fn leaves(tree: &UseTree, prefix: Name, found: &mut Vec<(String, Name)>) {
    match tree {
        UseTree::Path(path) => leaves(&path.tree, below(&prefix, &path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((prefix.last().cloned().unwrap_or_default(), prefix));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), below(&prefix, &name.ident.to_string()))),
        UseTree::Rename(name) => {
            found.push((name.rename.to_string(), below(&prefix, &name.ident.to_string())))
        }
        UseTree::Glob(_) => found.push(("*".to_owned(), prefix)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, prefix.clone(), found)),
    }
}

/// Adds the paths of two parts or more in `tokens`; a macro's arguments are looked through as well.
fn paths(tokens: TokenStream, found: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => paths(group.stream(), found),
            TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                at += tokens[at..].iter().take_while(|token| !is_punct(Some(token), ';')).count();
            }
            TokenTree::Ident(word) if word == "pub" => at += usize::from(is_visibility(tokens.get(at + 1))),
            TokenTree::Ident(_) => at = path(&tokens, at, found),
            _ => (),
        }
        at += 1;
    }
}

/// Adds the path that starts at `at`, where there is one; the place of its last part.
fn path(tokens: &[TokenTree], mut at: usize, found: &mut Vec<Name>) -> usize {
    let mut name = vec![tokens[at].to_string()];
    while is_punct(tokens.get(at + 1), ':') && is_punct(tokens.get(at + 2), ':') {
        let Some(TokenTree::Ident(part)) = tokens.get(at + 3) else { break };
        name.push(part.to_string());
        at += 3;
    }
    if name.len() > 1 {
        found.push(name);
    }
    at
}

/// What follows `pub` in `pub(in super::super)`: no import.
fn is_visibility(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.stream().to_string().starts_with("in "))
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}
