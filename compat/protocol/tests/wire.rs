//! The wire against what the historical programs really sent, and against anything at all.

use kerneld_protocol::request::{Command, Request};
use kerneld_protocol::wire::{ByteOrder, Layout, MAX_ID, Message, Reading};
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
    for layout in Layout::ALL {
        let mtext = Message { layout, id: -1, pid: 0, text: b"ppp" }.encode();
        assert!(Request::parse(2, &mtext).is_err(), "{layout}");
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

/// Text as a client could send it: any length, and no control character first.
fn client_text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
        .prop_filter("text begins with a character that can be seen", |text| {
            text.first().is_none_or(|first| !first.is_ascii_control())
        })
}

/// Ids that old programs had: none, kdsend's and kdstat's 1024 + pid with the pids of today, the kernel's.
fn old_id() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1025..=1024 + 0x3f_ffff_i64, 0x7fff_0001..=MAX_ID]
}

/// What is left of a message when it does not matter whose machine wrote it: nobody waits for id 0.
fn meaning<'a>(message: &Message<'a>) -> (Option<Layout>, i64, i16, &'a [u8]) {
    (Some(message.layout).filter(|_| message.id != 0), message.id, message.pid, message.text)
}

fn swapped(id: i64) -> i64 {
    i64::from((id as i32).swap_bytes())
}

/// How a request of this layout and id is read when nobody is seen to wait for its answer.
fn read_as(layout: Layout, id: i64, text: &[u8]) -> (Layout, i64) {
    let mtext = Message { layout, id, pid: 77, text }.encode();
    let message = Message::decode(&mtext).unwrap();
    (message.layout, message.id)
}

#[test]
fn every_id_of_kdsend_at_its_time_is_read_right_in_every_layout() {
    for layout in Layout::ALL {
        for pid in 1..=0x7fff {
            let id = 1024 + pid;
            assert_eq!(read_as(layout, id, b"ppp"), (layout, id));
            assert_eq!(read_as(layout, id, b""), (layout, id));
        }
    }
}

/// The ids of a range that are read wrong where nobody is seen to wait for the answer.
fn misread(layout: Layout, ids: impl Iterator<Item = i64>) -> Vec<i64> {
    ids.filter(|id| read_as(layout, *id, b"ppp") != (layout, *id)).collect()
}

/// kdsend's ids on a system of today, whose pids are below 2^22. Of the lowest bytes that are not 0, which the
/// other byte order puts first, those at the ends: an id that begins with one is none of kdsend's.
fn today() -> impl Iterator<Item = i64> {
    let ids = (4..=0x4003).flat_map(|above| [0, 1, 0x7f, 0x80, 0xff].map(|lowest| above << 8 | lowest));
    ids.skip(1)
}

/// Where nobody is seen to wait, kdsend's ids on a system of today, whose pids are below 2^22, are read wrong
/// when the lowest byte is 0 and the two in the middle make a smaller id of kdsend's when exchanged, or
/// (big-endian) the same one: none of a pid below 64,768. docs/legacy-programs.md says so.
#[test]
fn the_ids_of_kdsend_that_are_others_in_the_other_byte_order_are_these() {
    let smaller: Vec<i64> =
        today().filter(|id| id & 0xff == 0 && (1025..*id).contains(&swapped(*id))).collect();
    assert_eq!((smaller.len(), smaller[0], smaller[2015]), (2016, 0x02_0100, 0x40_0300));
    assert!(misread(Layout::Ilp32Old, today()) == smaller);
    let not_greater: Vec<i64> =
        today().filter(|id| id & 0xff == 0 && (1025..=*id).contains(&swapped(*id))).collect();
    assert_eq!((not_greater.len(), not_greater[0]), (2079, 0x01_0100));
    assert!(misread(Layout::Ilp32OldBe, today()) == not_greater);
}

/// The ids of the 65,536 pids from 130,048 on: behind four zeros they are the version of a 32-bit sender that
/// has id 0.
#[test]
fn the_ids_of_kdsend_that_look_like_a_version_are_these() {
    let expected = today().filter(|id| id >> 16 == 2);
    assert!(misread(Layout::Lp64OldBe, today()).into_iter().eq(expected));
}

#[test]
fn no_other_layout_has_ids_of_kdsend_that_are_read_wrong() {
    use Layout::{Ilp32New, Ilp32NewBe, Lp64New, Lp64NewBe, Lp64Old};
    for layout in [Ilp32New, Ilp32NewBe, Lp64New, Lp64NewBe, Lp64Old] {
        assert!(misread(layout, today()).is_empty(), "{layout}");
    }
}

/// The same of the kernel's ids: 63 that are small ones of kdsend's in the other byte order, and one (of a
/// big-endian sender) that is the same in both.
#[test]
fn the_ids_of_kernels_that_are_read_wrong_are_these() {
    let exchanged: Vec<i64> = (1..=0x3f).map(|byte| 0x7fff_0000 | byte << 8).collect();
    for layout in Layout::ALL {
        let expected = match layout {
            Layout::Ilp32Old => exchanged.clone(),
            Layout::Ilp32OldBe => [&exchanged[..], &[0x7fff_ff7f]].concat(),
            _ => vec![],
        };
        assert_eq!(misread(layout, 0x7fff_0001..=MAX_ID), expected, "{layout}");
    }
}

/// 63 of kdsend's ids and one of the kernel's: then the byte order of the status is all that is open.
#[test]
fn only_ids_that_are_the_same_in_both_byte_orders_stay_ambiguous_when_somebody_waits() {
    let wrong = today().chain(0x7fff_0001..=MAX_ID).filter(|id| {
        let mtext = Message { layout: Layout::Ilp32OldBe, id: *id, pid: 0, text: b"ppp" }.encode();
        let message = Reading::of(&mtext).unwrap().settle(None, |waited| waited == *id);
        message.layout != Layout::Ilp32OldBe
    });
    assert!(wrong.eq((1..=0x3f).map(|byte| byte << 16 | byte << 8).chain([0x7fff_ff7f])));
}

#[test]
fn a_reader_who_knows_the_byte_order_is_never_wrong_about_it() {
    for (layout, order) in [(Layout::Ilp32Old, ByteOrder::Little), (Layout::Ilp32OldBe, ByteOrder::Big)] {
        for id in (0x100..=0x3f_ff00).step_by(0x100).chain([0x7fff_4000, 5000]) {
            let mtext = Message { layout, id, pid: 0, text: b"ppp" }.encode();
            let message = Reading::of(&mtext).unwrap().settle(Some(order), |_| false);
            assert_eq!((message.layout, message.id), (layout, id));
        }
    }
}

proptest! {
    #[test]
    fn whatever_old_programs_sent_is_decoded_as_it_was_encoded(
        layout in any_layout(), id in old_id(), pid: i16, text in client_text(),
    ) {
        prop_assume!(layout != Layout::Ilp32OldBe || id == 0 || swapped(id) != id);
        let pid = if layout.has_pid() { pid } else { 0 };
        let message = Message { layout, id, pid, text: &text };
        let mtext = message.encode();
        let read = Reading::of(&mtext).unwrap().settle(None, |waited| waited == id && id != 0);
        prop_assert_eq!(meaning(&read), meaning(&message));
        prop_assert_eq!(Message::decode_as(layout, &mtext), Ok(message));
    }

    #[test]
    fn any_bytes_decode_or_are_refused_but_never_panic(
        mtext in prop::collection::vec(any::<u8>(), 0..64), mtype: i64,
    ) {
        if let Ok(Reading { likely, other }) = Reading::of(&mtext) {
            for message in [Some(likely), other].into_iter().flatten() {
                prop_assert_eq!(message.encode(), mtext.clone());
            }
        }
        let _ = Request::parse(mtype, &mtext);
    }
}
