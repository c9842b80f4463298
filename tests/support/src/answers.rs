//! The recorded answers of the historical kerneld (`answers.json`), for the tests that compare with them.

use kerneld_protocol::wire::Layout;
use serde::Deserialize;

/// A request, and what it was answered.
#[derive(Deserialize)]
pub struct Recorded {
    layout: String,
    /// The command.
    pub mtype: i64,
    /// The request's text.
    pub request_text: String,
    /// What had happened before.
    pub note: String,
    /// `at once`, or `after about N s`.
    pub when: String,
    /// The answer's status.
    pub status: i64,
    /// The answer's text.
    pub answer_text: String,
    /// All of mtext, where it is the same every time.
    pub answer_hex: Option<String>,
}

impl Recorded {
    /// The layout of both.
    ///
    /// # Panics
    /// When the file of answers names one that does not exist.
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
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../../compat/protocol/tests/vectors/answers.json")).unwrap();
    assert_eq!(vectors.answers.len(), 84);
    vectors.answers
}
