//! `<linux/kerneld.h>` compiles in every language that an old source may be.

use kerneld_test_support::compiler::{CC, Compiler};

const C: [&str; 6] = ["gnu89", "gnu99", "gnu11", "gnu17", "c99", "c17"];
const CPLUSPLUS: [&str; 3] = ["c++98", "c++17", "gnu++20"];

const COMPILERS: [(Compiler, &[&str]); 5] = [
    (CC, &C),
    (Compiler::new("gcc-i686-linux-gnu", "i686-linux-gnu-gcc", &[]), &C),
    (Compiler::new("clang", "clang", &[]), &C),
    (Compiler::new("g++", "c++", &["-x", "c++"]), &CPLUSPLUS),
    (Compiler::new("clang", "clang", &["-x", "c++"]), &CPLUSPLUS),
];

#[test]
fn the_header_has_the_historical_names_values_layouts_and_prototypes() {
    let folder = tempfile::tempdir().unwrap();
    for (compiler, standards) in COMPILERS {
        if !compiler.works() {
            continue;
        }
        for standard in standards {
            for protocol in ["-UNEW_KERNELD_PROTOCOL", "-DNEW_KERNELD_PROTOCOL"] {
                for functions in ["-UKERNELD_NO_CLIENT", "-DKERNELD_NO_CLIENT"] {
                    let standard = format!("-std={standard}");
                    let flags = [&standard[..], "-pedantic", protocol, functions, "-c"];
                    compiler.compile("header.c", &flags, folder.path());
                }
            }
        }
    }
}
