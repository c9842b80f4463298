//! The recorded answers of the historical kerneld (`answers.json`), for the tests that compare with them.

use kerneld_protocol::wire::Layout;
use serde::Deserialize;

/// A request, and what it was answered.
#[derive(Deserialize)]
#[allow(dead_code, reason = "each test reads what it compares")]
pub struct Recorded {
    layout: String,
    pub mtype: i64,
    pub request_text: String,
    /// What had happened before.
    pub note: String,
    /// `at once`, or `after about N s`.
    pub when: String,
    pub status: i64,
    pub answer_text: String,
    /// All of mtext, where it is the same every time.
    pub answer_hex: Option<String>,
}

impl Recorded {
    pub fn layout(&self) -> Layout {
        self.layout.parse().unwrap()
    }
}

#[derive(Deserialize)]
struct Vectors {
    answers: Vec<Recorded>,
}

/// All of them.
pub fn recorded() -> Vec<Recorded> {
    let vectors: Vectors = serde_json::from_str(include_str!("answers.json")).unwrap();
    assert_eq!(vectors.answers.len(), 84);
    vectors.answers
}
