//! How large functions are, and which files hold `unsafe`.

use std::path::PathBuf;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use crate::source::{Crate, Module, Package};

/// A function and the lines it takes, from its signature to its last brace.
pub struct Function {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// Where it starts, counted from 1.
    pub line: usize,
    /// How many lines it takes.
    pub lines: usize,
}

/// Every function of `package`, tests left out.
#[must_use]
pub fn functions(package: &Package) -> Vec<Function> {
    modules(package).flat_map(functions_of).collect()
}

/// Half of the functions take at most so many lines; 0 where there are none.
#[must_use]
pub fn median(functions: &[Function]) -> usize {
    let mut lines: Vec<usize> = functions.iter().map(|function| function.lines).collect();
    lines.sort_unstable();
    lines.get(lines.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

/// The files of `package` that hold `unsafe` outside tests.
#[must_use]
pub fn unsafe_files(package: &Package) -> Vec<PathBuf> {
    let holds = |module: &&Module| module.items.iter().any(|item| says_unsafe(item.to_token_stream()));
    let mut files: Vec<PathBuf> = modules(package).filter(holds).map(|module| module.file.clone()).collect();
    files.sort();
    files.dedup();
    files
}

fn modules(package: &Package) -> impl Iterator<Item = &Module> {
    package.crates.iter().flat_map(|krate: &Crate| krate.modules.values())
}

fn says_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => says_unsafe(group.stream()),
        TokenTree::Ident(word) => word == "unsafe",
        _ => false,
    })
}

fn functions_of(module: &Module) -> Vec<Function> {
    let mut found = Functions { module, found: Vec::new() };
    module.items.iter().for_each(|item| found.visit_item(item));
    found.found
}

struct Functions<'a> {
    module: &'a Module,
    found: Vec<Function>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &Signature, block: &Block) {
        let start = signature.span().start().line;
        self.found.push(Function {
            name: signature.ident.to_string(),
            file: self.module.file.clone(),
            line: start,
            lines: end(block.brace_token.span.close()) + 1 - start,
        });
    }
}

fn end(span: Span) -> usize {
    span.end().line
}

impl<'a> Visit<'a> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'a ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::package_of;

    const SHORT: &str = "fn short() {}";
    const LONG: &str = "trait T {\n    fn long(&self) {\n        let a = 1;\n        drop(a);\n    }\n    fn none(&self);\n}";

    #[test]
    fn a_function_counts_from_its_signature_to_its_brace() {
        let package = package_of(&[("lib.rs", LONG)]);
        let found: Vec<_> = functions(&package).iter().map(|f| (f.name.clone(), f.line, f.lines)).collect();
        assert_eq!(found, [("long".to_owned(), 2, 4)]);
    }

    #[test]
    fn the_median_is_that_of_all_crates() {
        let package = package_of(&[("lib.rs", LONG), ("main.rs", SHORT), ("bin/b.rs", SHORT)]);
        assert_eq!(median(&functions(&package)), 1);
    }

    #[test]
    fn unsafe_is_found_wherever_it_stands_but_in_tests() {
        let package = package_of(&[
            (
                "lib.rs",
                "#![forbid(unsafe_code)] mod a; mod b; mod c; #[cfg(test)] mod tests { unsafe fn t() {} }",
            ),
            ("a.rs", "fn f() { println!(\"{}\", unsafe { 1 }); }"),
            ("b.rs", "#[unsafe(no_mangle)] extern \"C\" fn f() {}"),
            ("c.rs", "/// unsafe\nfn f() {}"),
        ]);
        let names: Vec<_> =
            unsafe_files(&package).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.rs", "b.rs"]);
    }
}
