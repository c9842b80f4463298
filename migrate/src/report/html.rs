//! The plan as one HTML page.
use crate::plan::Plan;
/// The page.
pub fn page(_plan: &Plan) -> String {
    String::new()
}
