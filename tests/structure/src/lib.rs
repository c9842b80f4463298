//! Reads the sources of the workspace's packages, so that tests can hold how they are laid out: which module imports
//! which, what each may touch, and how large files and functions are. Tests inside the sources are left out.
#![forbid(unsafe_code)]

pub mod circles;
pub mod names;
pub mod sizes;
pub mod source;
pub mod touch;
