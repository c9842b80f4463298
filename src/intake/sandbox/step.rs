//! Which step of the confinement failed.
#![forbid(unsafe_code)]

use std::fmt::Display;

/// Makes what the kernel or a library said the sentence that the intake ends with.
pub(super) fn step<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("the intake cannot {what}: {error}")
}
