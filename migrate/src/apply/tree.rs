//! Files below a directory of the caller's choice. Links in it lead nowhere outside it.

use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::renameat;

use super::files::{make_folders, open_folder, split, temporary, write_temporary};
use crate::error::{Error, Result};
use crate::new::output::OutputFile;
use crate::root::Root;

/// Writes files below a directory, each whole or not at all; returns their paths. The directory is made where it
/// is missing.
///
/// # Errors
/// When one cannot be written, or the directory is a symbolic link.
pub fn write_tree(files: &[OutputFile], directory: &Path) -> Result<Vec<String>> {
    let tree = open(directory)?;
    let write = |file: &OutputFile| {
        write_whole(&tree, &file.path, &file.content())?;
        Ok(directory.join(file.path.trim_start_matches('/')).display().to_string())
    };
    files.iter().map(write).collect()
}

/// Makes and opens a directory to write into.
///
/// # Errors
/// When it cannot be made, or is a symbolic link, which someone else can have put there.
pub(crate) fn open(directory: &Path) -> Result<Root> {
    let write = |why: io::Error| Error::write(directory.display(), why);
    fs::create_dir_all(directory).map_err(write)?;
    if fs::symlink_metadata(directory).map_err(write)?.is_symlink() {
        return Err(write(io::Error::other("it is a symbolic link; name the directory itself")));
    }
    Root::open(directory)
}

/// Writes one file below a tree, whole or not at all, with the folders on the way to it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_whole(tree: &Root, path: &str, bytes: &[u8]) -> Result<()> {
    let (folder, name) = split(path);
    if folder != "/" {
        make_folders(tree, folder, 0o755)?;
    }
    let write = || -> io::Result<()> {
        let folder = open_folder(tree, folder)?;
        write_temporary(&folder, name, bytes, None)?;
        Ok(renameat(&folder, temporary(name).as_str(), &folder, name)?)
    };
    write().map_err(|why| Error::write(tree.path().join(path.trim_start_matches('/')).display(), why))
}
