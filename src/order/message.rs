//! From the bytes of a message to an order. Pure. The intake does it to pass on only what makes sense; the
//! executor does it again with its own copy of the bytes, and believes nothing else.
#![forbid(unsafe_code)]

use super::action::Order;
use super::judge::{PersistNumbers, judge};
use kerneld_persist::record::decode_set;
use kerneld_protocol::queue::{CAPACITY, Select};
use kerneld_protocol::request::{Malformed, Request};
use kerneld_protocol::wire::{Layout, Message};

/// Which messages are requests, and which of them are about persistent values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The types that are taken off the queue.
    pub(crate) select: Select,
    /// The types of get_persist and set_persist.
    pub(crate) persist: PersistNumbers,
}

/// The types that are taken off the queue: this one (kerneld's `type=N`), or all of kerneld's, 1 to 255.
pub(crate) fn served_types(only_type: Option<i64>) -> Select {
    only_type.map_or(Select::UpTo(255), Select::of_word)
}

impl Served {
    /// Of the types that [`served_types`] gives for `only_type`.
    pub(crate) fn new(only_type: Option<i64>, persist: PersistNumbers) -> Self {
        Served { select: served_types(only_type), persist }
    }

    /// Makes an order of a message.
    ///
    /// # Errors
    /// [`Malformed`] when nobody could be answered: an answer under an id that is itself a type we serve
    /// would come back to us as a request.
    pub(crate) fn order(&self, mtype: i64, mtext: &[u8]) -> Result<Order, Malformed> {
        let mut request = Request::parse(mtype, mtext)?;
        if mtype == self.persist.set {
            request = Request::of(mtype, decode_set(mtext).map_err(Malformed::Short)?)?;
        }
        let reply = request.reply;
        if reply.wanted() && self.select.takes(i64::from(reply.id)) {
            return Err(Malformed::Id(i64::from(reply.id)));
        }
        let verdict = judge(&request, self.persist);
        Ok(Order { reply, command: request.command, text: request.text.to_vec(), verdict })
    }

    /// The length of a message whose reader was killed before it could say so: `seen` bytes of the slot differ
    /// from what it was filled with, and a message may end in just those bytes.
    pub(crate) fn length(&self, mtype: i64, slot: &[u8; CAPACITY], seen: usize) -> usize {
        let whole = if mtype == self.persist.set { record_end(slot, seen) } else { None };
        whole.unwrap_or_else(|| header_end(slot, seen))
    }
}

/// A record of set_persist says its own length.
fn record_end(slot: &[u8; CAPACITY], seen: usize) -> Option<usize> {
    let ends = Layout::ALL.into_iter().filter_map(|layout| {
        let int = |at: usize| usize::try_from(layout.number(slot.get(at..at + 4)?)).ok();
        let header = layout.header_len();
        let end = (header + 8).checked_add(int(header)?)?.checked_add(int(header + 4)?)?;
        let message = decode_set(slot.get(..end)?).ok()?;
        (end >= seen && message.layout == layout).then_some(end)
    });
    ends.min()
}

/// A pid, which ends the new protocol's headers, may end in any two bytes, and a big-endian id in one.
fn header_end(slot: &[u8; CAPACITY], seen: usize) -> usize {
    let is_whole = |header: &usize| {
        let message = Message::decode(&slot[..*header]);
        let fits = message.is_ok_and(|message| message.layout.header_len() == *header);
        (header - 2..*header).contains(&seen) && fits
    };
    [4, 8, 12].into_iter().find(is_whole).unwrap_or(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::ring::FILL;
    use kerneld_persist::record::{Change, Key};
    use kerneld_protocol::request::{Command, ReplyTo};
    use proptest::prelude::*;

    const SERVED: Served = Served { select: Select::UpTo(255), persist: PersistNumbers { get: 9, set: 10 } };

    /// What becomes of a message whose length is lost.
    fn found(mtype: i64, mtext: &[u8]) -> Vec<u8> {
        let mut slot = [FILL; CAPACITY];
        slot[..mtext.len()].copy_from_slice(mtext);
        let seen = slot.iter().rposition(|byte| *byte != FILL).map_or(0, |last| last + 1);
        slot[..SERVED.length(mtype, &slot, seen)].to_vec()
    }

    #[test]
    fn an_answer_that_would_come_back_as_a_request_is_nobodys() {
        let reply = ReplyTo { id: 2, layout: Layout::Lp64Old, pid: 0 };
        assert_eq!(SERVED.order(2, &reply.answer(2, b"ppp")), Err(Malformed::Id(2)));
        assert!(SERVED.order(2, &reply.answer(256, b"ppp")).is_ok());
    }

    proptest! {
        #[test]
        fn a_lost_length_is_found_again(
            mtype in 1..=255i64,
            id in 0..=i32::MAX,
            layout in prop::sample::select(Layout::ALL.to_vec()),
            pid: i16,
            text in "\\PC{0,60}",
        ) {
            prop_assume!(mtype != SERVED.persist.set);
            let mtext = ReplyTo { id, layout, pid }.answer(id, text.as_bytes());
            prop_assert_eq!(found(mtype, &mtext), mtext);
        }

        #[test]
        fn a_pid_that_looks_like_the_fill_is_found_too(id in 0..=i32::MAX, low: u8, text in "[a-z]{0,4}") {
            for pid in [i16::from_le_bytes([low, FILL]), i16::from_le_bytes([FILL, FILL])] {
                for layout in [Layout::Ilp32New, Layout::Lp64New] {
                    let mtext = ReplyTo { id, layout, pid }.answer(id, text.as_bytes());
                    prop_assert_eq!(found(2, &mtext), mtext);
                }
            }
        }

        #[test]
        fn a_value_may_end_in_any_byte(
            id in 0..=i32::MAX,
            layout in prop::sample::select(Layout::ALL.to_vec()),
            key in "[a-z_]{1,20}",
            value: Vec<u8>,
            fill in 0..40usize,
        ) {
            let value = [value, vec![FILL; fill]].concat();
            let change = Change::Set(Key::new(key.as_bytes()).unwrap(), value);
            let mtext = ReplyTo { id, layout, pid: 7 }.answer(id, &change.encode_for(layout.byte_order()));
            prop_assert_eq!(found(SERVED.persist.set, &mtext), mtext);
        }

        #[test]
        fn no_bytes_make_it_panic(mtype: i64, mtext in prop::collection::vec(any::<u8>(), 0..CAPACITY)) {
            let _ = SERVED.order(mtype, &mtext);
            let _ = found(mtype, &mtext);
        }

        #[test]
        fn an_order_keeps_who_asked(mtype in 1..=8i64, id in 256..=i32::MAX, text in "[a-z]{0,60}") {
            let reply = ReplyTo { id, layout: Layout::Ilp32New, pid: 3 };
            let order = SERVED.order(mtype, &reply.answer(id, text.as_bytes())).unwrap();
            prop_assert_eq!((order.reply, order.command), (reply, Command::from_number(mtype)));
            prop_assert_eq!(order.text, text.into_bytes());
        }
    }
}
