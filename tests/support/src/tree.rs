//! Writing a tree of files.

use std::fs;
use std::path::Path;

/// Writes files below `root`, each given by its path there and its contents, and the folders they need.
///
/// # Panics
/// When the file system refuses.
pub fn write_tree(root: &Path, files: &[(&str, &str)]) {
    for (path, contents) in files {
        let file = root.join(path);
        fs::create_dir_all(file.parent().expect("a file below the root")).expect("a folder");
        fs::write(file, contents).expect("a file");
    }
}
