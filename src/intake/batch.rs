//! Which message to ask the kernel for. Pure.
//!
//! `msgrcv` for the lowest of several types looks at every message on the queue, for one type only at those
//! before it. So after one of the lowest type others of that type are taken, without another look at all.
#![forbid(unsafe_code)]

use kerneld_protocol::queue::Select;

/// Messages of one type that are taken after one look at the whole queue: how many overtake one of a lower
/// type that comes meanwhile.
const LENGTH: u32 = 64;

/// What to ask for next.
#[derive(Debug)]
pub(crate) struct Batch {
    select: Select,
    /// The type that is being taken, and how many more of it.
    same: Option<(i64, u32)>,
    /// Whether the latest question was for one type of several.
    asked_one: bool,
}

impl Batch {
    /// Takes what `select` says.
    pub(crate) fn new(select: Select) -> Self {
        Batch { select, same: None, asked_one: false }
    }

    /// What to ask for, and whether to wait for it, if that is wanted at all.
    pub(crate) fn next(&mut self, patient: bool) -> (Select, bool) {
        // There may be no more of this type: the next look is at all types again.
        let same = self.same.take();
        self.asked_one = same.is_some();
        match same {
            Some((mtype, left)) => {
                self.same = (left > 1).then_some((mtype, left - 1));
                (Select::Exactly(mtype), false)
            }
            None => (self.select, patient),
        }
    }

    /// Notes the type of what came.
    pub(crate) fn took(&mut self, mtype: i64) {
        if !self.asked_one && matches!(self.select, Select::UpTo(_)) {
            self.same = Some((mtype, LENGTH));
        }
    }

    /// Nothing was there: returns whether that was true of every type that is taken. If not, all of them are
    /// asked for next.
    pub(crate) fn is_over(&mut self) -> bool {
        self.same = None;
        !self.asked_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_at_all_is_followed_by_many_at_one_type() {
        let mut batch = Batch::new(Select::UpTo(255));
        for _ in 0..3 {
            assert_eq!(batch.next(true), (Select::UpTo(255), true));
            batch.took(2);
            for _ in 0..LENGTH {
                assert_eq!(batch.next(true), (Select::Exactly(2), false));
                batch.took(2);
            }
        }
    }

    #[test]
    fn when_a_type_is_used_up_all_are_asked_for() {
        let mut batch = Batch::new(Select::UpTo(255));
        batch.next(true);
        batch.took(2);
        assert_eq!(batch.next(false), (Select::Exactly(2), false));
        assert!(!batch.is_over());
        assert_eq!(batch.next(false), (Select::UpTo(255), false));
        assert!(batch.is_over());
    }

    #[test]
    fn a_single_type_is_waited_for_each_time() {
        let mut batch = Batch::new(Select::Exactly(300));
        assert_eq!(batch.next(true), (Select::Exactly(300), true));
        batch.took(300);
        assert_eq!(batch.next(true), (Select::Exactly(300), true));
    }
}
