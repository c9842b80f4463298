//! The texts of get_persist and set_persist, as drivers sent them and as anybody might.

use kerneld_persist::record::{BadRecord, decode_set};
use kerneld_persist::{Change, Key, parse_get, parse_set};
use kerneld_protocol::wire::{Layout, MAX_ID, Message};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a C program on i386 or x86-64 lays down: the lengths as given, true or not.
fn record(key_len: i32, value_len: i32, arr: &[u8]) -> Vec<u8> {
    [&key_len.to_le_bytes()[..], &value_len.to_le_bytes()[..], arr].concat()
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).unwrap()
}

#[test]
fn a_driver_sets_and_deletes() {
    let set = parse_set(&record(7, 4, b"sb_irq\0\x05\0\0\0")).unwrap();
    assert_eq!(set, Some(Change::Set(key("sb_irq"), vec![5, 0, 0, 0])));
    assert_eq!(parse_set(&record(7, 0, b"sb_irq\0")).unwrap(), Some(Change::Delete(key("sb_irq"))));
    assert_eq!(parse_set(&record(0, 4, b"abcd")).unwrap(), None);
    assert_eq!(parse_get(b"sb_irq").unwrap(), parse_get(b"sb_irq\0").unwrap());
}

#[test]
fn lengths_that_lie_are_refused() {
    for (key_len, value_len) in [(7, 5), (12, 0), (-1, 4), (7, -1), (i32::MAX, i32::MAX), (i32::MIN, 0)] {
        let refused = parse_set(&record(key_len, value_len, b"sb_irq\0\x05\0\0\0")).unwrap_err();
        assert_eq!(refused, BadRecord::Lengths { key: key_len, value: value_len, present: 11 });
    }
    assert_eq!(parse_set(&[1, 0, 0, 0, 1, 0, 0]), Err(BadRecord::Short(7)));
}

#[test]
fn a_key_is_a_c_string_with_something_in_it() {
    for text in [&b""[..], b"\0", b"a\0b", b"a\0\0"] {
        assert_eq!(Key::new(text), Err(BadRecord::Key(text.to_vec())));
    }
    assert!(parse_set(&record(3, 1, b"a\0bv")).is_err());
}

fn change() -> impl Strategy<Value = Change> {
    let key = vec(1..=u8::MAX, 1..20).prop_map(|key| Key::new(&key).unwrap());
    (key, vec(any::<u8>(), 0..40))
        .prop_map(|(key, value)| if value.is_empty() { Change::Delete(key) } else { Change::Set(key, value) })
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_back(change in change(), surplus in vec(any::<u8>(), 0..9)) {
        let text = [change.encode(), surplus].concat();
        prop_assert_eq!(parse_set(&text), Ok(Some(change)));
    }

    #[test]
    fn anything_is_read_or_refused(text in vec(any::<u8>(), 0..64)) {
        let _ = parse_set(&text);
        let _ = parse_get(&text);
        let _ = decode_set(&text);
    }

    #[test]
    fn nothing_is_taken_from_outside_the_text(
        lengths in any::<(i8, i8)>(),
        arr in vec(any::<u8>(), 0..64),
    ) {
        let text = record(lengths.0.into(), lengths.1.into(), &arr);
        if let Ok(Some(change)) = parse_set(&text) {
            prop_assert!(text.starts_with(&change.encode()) || arr[usize::from(lengths.0.unsigned_abs()) - 1] != 0);
        }
    }

    #[test]
    fn the_senders_layout_is_found(
        change in change(),
        layout in prop::sample::select(&Layout::ALL),
        id in 0..=MAX_ID,
        pid in any::<i16>(),
    ) {
        let text = change.encode_for(layout.byte_order());
        prop_assert_eq!(parse_set(&text), Ok(Some(change)));
        let sent = Message { layout, id, pid: if layout.has_pid() { pid } else { 0 }, text: &text };
        let mtext = sent.encode();
        prop_assert_eq!(decode_set(&mtext), Ok(sent));
    }
}

#[test]
fn a_one_letter_key_does_not_pass_for_a_protocol_version() {
    let text = record(2, 1, b"k\0v");
    let mtext = Message { layout: Layout::Ilp32Old, id: 1025, pid: 0, text: &text }.encode();
    assert_eq!(
        Message::decode(&mtext).unwrap().layout,
        Layout::Ilp32New,
        "reading the header alone is wrong"
    );
    assert_eq!(decode_set(&mtext).unwrap().layout, Layout::Ilp32Old);
}
