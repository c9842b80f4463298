//! Compiling the C programs of the tests with the compilers that this machine has.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::have;

/// Where the header and the C programs are.
const COMPAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compat");

/// A compiler and what makes it another one.
pub struct Compiler {
    /// What `KERNELD_TEST_REQUIRE` calls it.
    name: &'static str,
    command: &'static str,
    flags: &'static [&'static str],
}

/// The machine's C compiler.
pub const CC: Compiler = Compiler::new("cc", "cc", &[]);

/// The one for i386, static: what an old binary is. (Debian's gcc-multilib and its cross compilers exclude each other,
/// and the tests need more of the latter.)
pub const CC32: Compiler = Compiler::new("gcc-i686-linux-gnu", "i686-linux-gnu-gcc", &["-static"]);

impl Compiler {
    /// The compiler that `command` with `flags` is, as `KERNELD_TEST_REQUIRE` calls it.
    pub const fn new(name: &'static str, command: &'static str, flags: &'static [&'static str]) -> Self {
        Compiler { name, command, flags }
    }

    /// Whether this compiler works here. A person without it is told what is not tested.
    ///
    /// # Panics
    /// When it does not and `KERNELD_TEST_REQUIRE` (names with commas between, or `all`) asks for it.
    pub fn works(&self) -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("empty.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").expect("a source");
        let works = self.try_compile(&source, &[], &folder.path().join("empty")).is_ok();
        have(self.name, works, &format!("{} does not work, so what it compiles is not tested", self.name))
    }

    /// Compiles a source of `compat/tests/c` with our header, all warnings being errors.
    ///
    /// # Panics
    /// With the compiler's words when it refuses.
    pub fn compile(&self, source: &str, flags: &[&str], folder: &Path) -> PathBuf {
        self.compile_file(&Path::new(COMPAT).join("tests/c").join(source), flags, folder)
    }

    /// Compiles any source, as [`Compiler::compile`] does.
    ///
    /// # Panics
    /// With the compiler's words when it refuses.
    pub fn compile_file(&self, source: &Path, flags: &[&str], folder: &Path) -> PathBuf {
        let words = [self.flags, flags].concat().join("").replace(['/', '='], "_");
        let program =
            folder.join(format!("{}-{}{words}", source.file_stem().unwrap().display(), self.command));
        if let Err(words) = self.try_compile(source, flags, &program) {
            panic!("{} {flags:?} {}: {words}", self.command, source.display());
        }
        program
    }

    fn try_compile(&self, source: &Path, flags: &[&str], program: &Path) -> Result<(), String> {
        let output = Command::new(self.command)
            .args(["-Wall", "-Wextra", "-Werror", "-I"])
            .arg(Path::new(COMPAT).join("include"))
            .args(self.flags)
            .arg(source)
            .arg("-o")
            .arg(program)
            // Libraries after what uses them.
            .args(flags)
            .output()
            .map_err(|error| error.to_string())?;
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
