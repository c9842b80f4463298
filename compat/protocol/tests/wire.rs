//! The wire against what the historical programs really sent, and against anything at all.

use kerneld_protocol::request::{Command, Request};
use kerneld_protocol::wire::{Layout, Message};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    requests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    layout: String,
    mtype: i64,
    mtext_hex: String,
    id: i64,
    version: Option<u16>,
    pid: Option<u16>,
    text: String,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/requests.json")).unwrap();
    assert_eq!(vectors.requests.len(), 20);
    vectors.requests
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn captured_requests_are_decoded_and_encoded_back() {
    for vector in vectors() {
        let mtext = unhex(&vector.mtext_hex);
        let message = Message::decode(&mtext).unwrap();
        assert_eq!(message.layout, vector.layout.parse().unwrap(), "{}", vector.mtext_hex);
        assert_eq!(message.id, vector.id);
        assert_eq!(message.layout.has_pid(), vector.version == Some(2));
        assert_eq!(message.pid.cast_unsigned(), vector.pid.unwrap_or(0));
        assert_eq!(message.text, vector.text.as_bytes());
        assert_eq!(message.encode(), mtext);
    }
}

#[test]
fn captured_requests_are_commands_that_can_be_answered() {
    for vector in vectors() {
        let mtext = unhex(&vector.mtext_hex);
        let request = Request::parse(vector.mtype, &mtext).unwrap();
        assert!(matches!(request.command, Command::RequestModule | Command::Debug));
        assert_eq!(i64::from(request.reply.id), vector.id);
        let answer = request.reply.answer(7, b"ok");
        let answer = Message::decode_as(request.reply.layout, &answer).unwrap();
        assert_eq!((answer.id, answer.pid, answer.text), (7, request.reply.pid, &b"ok"[..]));
    }
}

#[test]
fn a_negative_status_keeps_its_sign_in_every_layout() {
    for layout in Layout::ALL {
        let mtext = Message { layout, id: -19, pid: 5, text: b"" }.encode();
        assert_eq!(Message::decode_as(layout, &mtext).unwrap().id, -19);
    }
}

#[test]
fn too_short_for_a_header_is_an_error_with_both_lengths() {
    let short = Message::decode(&[1, 0, 0]).unwrap_err();
    assert_eq!((short.len, short.needed), (3, 4));
    assert!(Message::decode_as(Layout::Lp64New, &[0; 11]).is_err());
}

#[test]
fn an_id_that_no_answer_can_have_is_malformed() {
    for id in [-1, i64::from(i32::MIN)] {
        let mtext = Message { layout: Layout::Ilp32Old, id, pid: 0, text: b"ppp" }.encode();
        assert!(Request::parse(2, &mtext).is_err(), "{id}");
    }
}

#[test]
fn names_and_numbers_of_commands_agree() {
    for command in Command::KNOWN {
        assert_eq!(Command::from_number(command.number()), command);
        assert_eq!(Command::from_name(&command.to_string()), Some(command));
    }
    assert_eq!(Command::from_number(300), Command::Other(300));
}

fn any_layout() -> impl Strategy<Value = Layout> {
    prop::sample::select(Layout::ALL.to_vec())
}

/// Text as a client could send it: any length, not beginning with NUL, and not looking like the new
/// protocol's version to one who does not know the layout.
fn client_text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
        .prop_filter("text never starts with NUL, nor with the version", |text| {
            text.first() != Some(&0) && !text.starts_with(&[2, 0])
        })
}

proptest! {
    #[test]
    fn whatever_is_encoded_is_decoded_again(
        layout in any_layout(), id in 0..=0x7fff_ffff_i64, pid: i16, text in client_text(),
    ) {
        let pid = if layout.has_pid() { pid } else { 0 };
        let message = Message { layout, id, pid, text: &text };
        let mtext = message.encode();
        prop_assert_eq!(Message::decode(&mtext), Ok(message));
        prop_assert_eq!(Message::decode_as(layout, &mtext), Ok(message));
    }

    #[test]
    fn any_bytes_decode_or_are_refused_but_never_panic(
        mtext in prop::collection::vec(any::<u8>(), 0..64), mtype: i64,
    ) {
        if let Ok(message) = Message::decode(&mtext) {
            let encoded = message.encode();
            // What the header says is kept; only reserved bytes of an unknown version could differ.
            prop_assert_eq!(encoded.len(), mtext.len());
            prop_assert_eq!(encoded, mtext.clone());
        }
        let _ = Request::parse(mtype, &mtext);
    }
}
