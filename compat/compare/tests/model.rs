//! The model of the old kerneld against the answers that the real one gave.

use kerneld_compare::cell_name::CellName;
use kerneld_compare::model::Build;
use kerneld_compare::verdict::cells::compare;
use kerneld_compare::{scenario, world};
use kerneld_protocol::wire::Message;
use std::path::Path;

use kerneld_test_support::answers::{Recorded, recorded};

/// How the helper behaved that the real kerneld was recorded with.
const HELPERS: &str = r#"
    words = ["delay=2"]
    limit = 9
    helper = [
        { program = "modprobe", text = "exit7", exit = 7 },
        { program = "modprobe", text = "exit200", exit = 200 },
        { program = "modprobe", text = "slow*", time = 2 },
        { program = "sh", text = "echo hello; exit 3", output = "hello\n", exit = 3 },
    ]
"#;

/// What happened before the request, as the vector's note tells.
fn before(vector: &Recorded) -> String {
    match vector.note.as_str() {
        "two messages of foreign types were waiting" => {
            "[[step]]\npost = 300\n[[step]]\npost = 256\n".to_owned()
        }
        "while request_module slowjob runs" => format!(
            "[[step]]\nask = \"job\"\ncommand = 2\ntext = \"slowjob\"\npid = 78\nlayout = \"{}\"\n",
            vector.layout()
        ),
        _ => String::new(),
    }
}

fn answer_of_the_model(vector: &Recorded) -> (String, String, String) {
    let (layout, Recorded { mtype, request_text, .. }) = (vector.layout(), vector);
    let text = format!(
        "about = \"\"\n{HELPERS}\n{}\n[[step]]\nask = \"a\"\ncommand = {mtype}\ntext = {request_text:?}\nlayout = \"{layout}\"\n",
        before(vector)
    );
    let scenario = scenario::parse(&text, Path::new("vector.toml"), layout).unwrap();
    let seen =
        world::model::run(&scenario, Build { new_protocol: vector.layout().has_pid(), word: None }).unwrap();
    let cells = compare("vector", &seen, &seen, &[]);
    let cell = |what: CellName| cells.iter().find(|cell| cell.what == what).unwrap().old.clone();
    let lines =
        cells.iter().filter(|cell| matches!(&cell.what, CellName::AnswerLine(client, _) if client == "a"));
    (
        cell(CellName::Answer("a".into())),
        cell(CellName::AnswerTime("a".into())),
        lines.map(|cell| cell.old.as_str()).collect(),
    )
}

#[test]
fn the_model_gives_every_recorded_answer() {
    for vector in &recorded() {
        let name = format!("{} {} {:?} {}", vector.layout(), vector.mtype, vector.request_text, vector.note);
        let (status, when, text) = answer_of_the_model(vector);
        assert_eq!(status, format!("status {}", vector.status), "{name}");
        assert_eq!(when, vector.when.replace("about ", ""), "{name}");
        assert_eq!(text, vector.answer_text.replace('\n', "\\n"), "{name}");
    }
}

/// The header of the answers is the one that [`kerneld_compare::observe::Outcome::of`] demands: the
/// request's own.
#[test]
fn recorded_answers_have_the_header_of_their_request() {
    for vector in recorded().iter().filter(|vector| vector.answer_hex.is_some()) {
        let layout = vector.layout();
        let pid = if layout.has_pid() { 77 } else { 0 };
        let answer = Message { layout, id: vector.status, pid, text: vector.answer_text.as_bytes() };
        let hex: String = answer.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(hex), vector.answer_hex);
    }
}
