//! The plan for people and for programs.

pub(crate) mod fleet;
pub mod html;
pub mod json;
pub mod text;
