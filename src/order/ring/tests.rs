use super::layout::{SLOTS, oldest};
use super::reader::{IDLE_RINGS, Nonsense};
use super::slot::{FILL, unfilled};
use super::*;
use kerneld_protocol::queue::CAPACITY;
use proptest::prelude::*;
use std::ffi::c_long;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const QUEUE: i32 = 7;

fn memory() -> Vec<AtomicU32> {
    (0..WORDS).map(|word| AtomicU32::new(word as u32)).collect()
}

fn empty(words: &[AtomicU32]) -> Ring<'_> {
    let ring = Ring::new(words);
    ring.reset(QUEUE);
    ring
}

/// What the kernel does in `msgrcv`.
fn put(message: &[AtomicU32], mtype: c_long, text: &[u8]) {
    let bytes = [&mtype.to_ne_bytes(), text].concat();
    for (word, chunk) in message.iter().zip(bytes.chunks(4)) {
        let mut new = word.load(Ordering::Relaxed).to_ne_bytes();
        new[..chunk.len()].copy_from_slice(chunk);
        word.store(u32::from_ne_bytes(new), Ordering::Relaxed);
    }
}

fn pass(writer: &mut Writer, mtype: c_long, text: &[u8]) {
    put(writer.vacancy().unwrap(), mtype, text);
    writer.publish(text.len());
}

fn taken(reader: &mut Reader) -> Option<(i64, Vec<u8>)> {
    let mut text = Box::new([0; CAPACITY]);
    let message = reader.take(&mut text).unwrap().map(|message| (message.mtype, message.mtext.to_vec()));
    if message.is_some() {
        reader.free();
    }
    message
}

fn start(ring: Ring<'_>) -> (Writer<'_>, Reader<'_>) {
    let position = ring.resume(QUEUE).unwrap();
    (Writer::new(ring, ring.unwritten(position)), Reader::new(ring, position))
}

#[test]
fn messages_come_out_whole_and_in_order_round_after_round() {
    let words = memory();
    let (mut writer, mut reader) = start(empty(&words));
    for round in 0..5 * SLOTS as usize {
        let text = vec![round as u8; round * 100 % (CAPACITY + 1)];
        pass(&mut writer, 1 + round as c_long, &text);
        assert_eq!(taken(&mut reader), Some((1 + round as i64, text)));
        assert_eq!(taken(&mut reader), None);
    }
}

#[test]
fn a_successor_of_both_goes_on_where_they_stopped() {
    let words = memory();
    let (mut writer, mut reader) = start(empty(&words));
    for text in [b"a", b"b", b"c"] {
        pass(&mut writer, 2, text);
    }
    taken(&mut reader);
    reader.note(70_000_000_000);
    let (mut writer, mut reader) = start(Ring::new(&words));
    let mut text = Box::new([0; CAPACITY]);
    let again = reader.take(&mut text).unwrap().unwrap();
    assert_eq!((again.mtext, again.request), (&b"b"[..], 70_000_000_000));
    reader.free();
    pass(&mut writer, 2, b"d");
    assert_eq!(taken(&mut reader), Some((2, b"c".to_vec())));
    assert_eq!(reader.take(&mut text).unwrap().unwrap().request, 0, "a number stays with its message");
    assert_eq!(taken(&mut reader), Some((2, b"d".to_vec())));
}

#[test]
fn a_message_that_its_reader_did_not_pass_on_is_found_with_its_length() {
    let words = memory();
    let (writer, mut reader) = start(empty(&words));
    let mut text = Box::new([0; CAPACITY]);
    assert_eq!(writer.left_behind(&mut text), None);
    put(writer.vacancy().unwrap(), 2, b"half");
    let from = reader.hand_over();
    let mut next = Writer::new(Ring::new(&words), from);
    assert_eq!(next.left_behind(&mut text), Some((2, 4)));
    next.publish(4);
    assert_eq!(taken(&mut reader), Some((2, b"half".to_vec())));
    put(next.vacancy().unwrap(), 2, b"bad");
    assert_eq!(reader.set_aside(reader.hand_over()), Some((2, b"bad".to_vec())));
    assert_eq!(reader.set_aside(reader.hand_over()), None);
    assert_eq!(next.left_behind(&mut text), None);
    pass(&mut next, 3, b"good");
    assert_eq!(taken(&mut reader), Some((3, b"good".to_vec())));
}

#[test]
fn nothing_is_left_behind_in_a_full_ring() {
    let words = memory();
    let (mut writer, reader) = start(empty(&words));
    (0..SLOTS).for_each(|_| pass(&mut writer, 2, b"x"));
    let next = Writer::new(Ring::new(&words), reader.hand_over());
    assert_eq!(next.left_behind(&mut [0; CAPACITY]), None);
    assert_eq!(start(Ring::new(&words)).1.position, reader.position);
}

#[test]
fn a_full_ring_has_no_vacancy_until_a_slot_is_freed() {
    let words = memory();
    let (mut writer, mut reader) = start(empty(&words));
    for _ in 0..SLOTS {
        pass(&mut writer, 2, b"x");
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| writer.vacancy().is_some());
        taken(&mut reader);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_reader_that_waits_is_woken_by_each_message() {
    let words = memory();
    let (mut writer, mut reader) = start(empty(&words));
    std::thread::scope(|scope| {
        scope.spawn(move || (0..1000).for_each(|_| pass(&mut writer, 2, b"x")));
        for _ in 0..1000 {
            while taken(&mut reader).is_none() {
                reader.wait(None, || false);
            }
        }
    });
}

#[test]
fn what_no_intake_writes_is_told_apart() {
    let words = memory();
    let (_, reader) = start(empty(&words));
    let mut text = Box::new([0; CAPACITY]);
    let slot = reader.slot();
    slot.set_length(CAPACITY as u32 + 1);
    slot.set_turn(reader.position.full());
    assert_eq!(reader.take(&mut text), Err(Nonsense::Length(CAPACITY as u32 + 1)));
    slot.set_turn(77);
    assert_eq!(reader.take(&mut text), Err(Nonsense::Turn(77)));
    assert_eq!(Ring::new(&words).resume(QUEUE), None);
}

#[test]
fn a_bell_that_rings_for_nothing_is_told_from_one_that_answers() {
    let words = memory();
    let (_, mut reader) = start(empty(&words));
    let mut text = Box::new([0; CAPACITY]);
    let start = reader.idle.1;
    for second in 0..10 {
        (0..IDLE_RINGS).for_each(|_| reader.count_idle(start + second * Duration::from_secs(2)));
        assert_eq!(reader.take(&mut text), Ok(None));
    }
    reader.count_idle(start + 18 * Duration::from_secs(1));
    assert_eq!(reader.take(&mut text), Err(Nonsense::Noise));
}

#[test]
fn the_ring_of_another_queue_is_not_resumed() {
    let words = memory();
    assert_eq!(Ring::new(&words).resume(QUEUE), None);
    empty(&words);
    assert_eq!(Ring::new(&words).resume(QUEUE + 1), None);
    assert!(Ring::new(&words).resume(QUEUE).is_some());
}

proptest! {
    #[test]
    fn any_memory_is_taken_or_refused_without_a_panic(seed: Vec<u32>, turn: u32, length: u32) {
        let words = memory();
        let ring = empty(&words);
        let (mut writer, mut reader) = start(ring);
        for (at, value) in seed.iter().enumerate() {
            words[(at * 977) % WORDS].store(*value, Ordering::Relaxed);
        }
        reader.slot().set_length(length);
        reader.slot().set_turn(turn);
        let mut text = Box::new([0; CAPACITY]);
        if let Ok(Some(taken)) = reader.take(&mut text) {
            prop_assert!(taken.mtext.len() <= CAPACITY);
            reader.free();
        }
        let _ = reader.set_aside(reader.hand_over());
        reader.renew();
        writer.position = reader.hand_over();
        pass(&mut writer, 2, b"honest again");
        prop_assert_eq!(taken(&mut reader), Some((2, b"honest again".to_vec())));
    }

    #[test]
    fn turns_are_resumed_from_wherever_the_two_were(first: u32, full in 0..=SLOTS) {
        let first = Position(first >> 1);
        let mut turns = [0; SLOTS as usize];
        for ahead in 0..SLOTS {
            let position = first.ahead(ahead);
            turns[position.slot()] = if ahead < full { position.full() } else { position.free() };
        }
        prop_assert_eq!(oldest(&turns), Some(first));
        turns[first.ahead(3).slot()] ^= 0x1000;
        prop_assert_eq!(oldest(&turns), None);
    }

    #[test]
    fn every_text_that_does_not_end_in_the_fill_has_its_length(mut text: Vec<u8>) {
        text.push(0);
        let mut slot = [FILL; CAPACITY];
        slot[..text.len()].copy_from_slice(&text);
        prop_assert_eq!(unfilled(&slot), text.len());
    }
}
