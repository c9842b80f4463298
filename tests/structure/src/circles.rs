//! Circles of imports: modules that need each other, so that none can be understood or changed alone.

use std::collections::BTreeMap;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::names::{Mentions, Name, mentions};
use crate::source::Crate;

/// The circles in `krate`, each as a sentence. At every level of the module tree, the modules there, each with all that
/// is below it, and the file above them must not need each other in a circle.
#[must_use]
pub fn circles(krate: &Crate) -> Vec<String> {
    let mentions = mentions(krate);
    krate.modules.keys().flat_map(|level| circles_at(level, &mentions)).collect()
}

fn circles_at(level: &Name, mentions: &Mentions) -> Vec<String> {
    let arrows = arrows(level, mentions);
    let mut graph = DiGraphMap::<&str, ()>::new();
    for (from, to) in arrows.keys() {
        graph.add_edge(from, to, ());
    }
    let circles = tarjan_scc(&graph).into_iter().filter(|members| members.len() > 1);
    circles.map(|members| sentence(level, &members, &arrows)).collect()
}

/// Which of the modules at `level` needs which other, with the two files that show it.
type Arrows = BTreeMap<(String, String), (String, String)>;

fn arrows(level: &Name, mentions: &Mentions) -> Arrows {
    let mut arrows = Arrows::new();
    for (from, targets) in &mentions.inner {
        for to in targets {
            if let (Some(here), Some(there)) = (part(level, from), part(level, to))
                && here != there
            {
                arrows.insert((here, there), (written(from), written(to)));
            }
        }
    }
    arrows
}

/// The part of `level` that `module` belongs to: the file itself (`mod`), or a module below it.
fn part(level: &Name, module: &Name) -> Option<String> {
    let rest = module.strip_prefix(level.as_slice())?;
    Some(rest.first().cloned().unwrap_or_else(|| "mod".to_owned()))
}

fn sentence(level: &Name, members: &[&str], arrows: &Arrows) -> String {
    let inside = |name: &String| members.contains(&name.as_str());
    let shown = arrows.iter().filter(|((from, to), _)| inside(from) && inside(to));
    let shown: Vec<String> = shown.map(|(_, (from, to))| format!("{from} imports {to}")).collect();
    format!("in {}: {}", written(level), shown.join(", "))
}

fn written(module: &Name) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::package_of;

    fn circles_in(files: &[(&str, &str)]) -> Vec<String> {
        circles(&package_of(files).crates[0])
    }

    #[test]
    fn modules_that_import_each_other_are_found() {
        let found = circles_in(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { println!(\"{}\", super::a::A::new()); }"),
        ]);
        assert_eq!(found, ["in crate: a imports b, b imports a"]);
    }

    #[test]
    fn a_part_that_imports_its_parent_is_found() {
        let parent = "mod part; use part::Part; pub struct Whole(Part);";
        let found = circles_in(&[
            ("lib.rs", "mod whole;"),
            ("whole/mod.rs", parent),
            ("whole/part.rs", "use super::Whole; pub struct Part;"),
        ]);
        assert_eq!(found, ["in whole: whole imports whole::part, whole::part imports whole"]);
    }

    #[test]
    fn folders_that_need_each_other_through_different_files_are_found() {
        let found = circles_in(&[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y;"),
            ("a/x.rs", "use crate::b::z::Z;"),
            ("a/y.rs", "pub struct Y;"),
            ("b/mod.rs", "pub mod z; mod w;"),
            ("b/z.rs", "pub struct Z;"),
            ("b/w.rs", "use crate::a::y::Y;"),
        ]);
        assert_eq!(found, ["in crate: a::x imports b::z, b::w imports a::y"]);
    }

    #[test]
    fn a_name_is_followed_through_re_exports_to_the_module_that_has_it() {
        let found = circles_in(&[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y; pub use x::X; pub use y::Y;"),
            ("a/x.rs", "use super::Y;"),
            ("a/y.rs", "pub struct Y;"),
            ("b.rs", "use crate::a::X;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn tests_and_visibilities_do_not_count() {
        let found = circles_in(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B; pub(in crate::a) fn f() {} #[cfg(test)] mod tests { use crate::a::A; }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
