//! The plan for people and for programs.

pub mod fleet;
pub mod html;
pub mod json;
pub mod text;
