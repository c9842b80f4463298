//! Whether an intake still reads: one that is stopped or taken over may be silent for ever, and a queue wakes
//! nobody who does not receive. Pure.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How often the queue is looked at while nothing comes.
const PAUSE: Duration = Duration::from_secs(10);

/// How often a question is asked again: it may have come just before the wait that it was to end.
const AGAIN: Duration = Duration::from_millis(20);

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is not time, or all is well.
    Nothing,
    /// Ask a question, and give its number to [`Silence::asked`].
    Ask,
    /// Ask it again.
    AskAgain,
    /// The intake does not answer.
    End,
}

/// When the intake was last seen to read.
#[derive(Debug)]
pub(crate) struct Silence {
    next: Instant,
    /// The question that is not answered yet, and since when.
    question: Option<(u32, Instant)>,
}

impl Silence {
    /// Nothing is doubted yet.
    pub(crate) fn new(now: Instant) -> Self {
        Silence { next: now + PAUSE, question: None }
    }

    /// How long until [`Silence::step`] has something to say.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// What to do now, given which questions have been answered and whether messages wait.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        answered: impl Fn(u32) -> bool,
        waiting: impl Fn() -> bool,
    ) -> Step {
        if now < self.next {
            return Step::Nothing;
        }
        match self.question {
            None if waiting() => Step::Ask,
            Some((question, since)) if !answered(question) => {
                self.next = now + AGAIN;
                if now < since + LIMIT { Step::AskAgain } else { Step::End }
            }
            _ => {
                self.question = None;
                self.next = now + PAUSE;
                Step::Nothing
            }
        }
    }

    /// A question of this number has been asked.
    pub(crate) fn asked(&mut self, question: u32, now: Instant) {
        self.question = Some((question, now));
        self.next = now + AGAIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_while_nothing_waits() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        for round in 1..10 {
            assert_eq!(silence.step(start + round * PAUSE, |_| false, || false), Step::Nothing);
        }
        assert_eq!(silence.left(start + 9 * PAUSE), PAUSE);
    }

    #[test]
    fn one_that_answers_goes_on() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.step(start, |_| false, || true), Step::Nothing, "not yet");
        let asked = start + PAUSE;
        assert_eq!(silence.step(asked, |_| false, || true), Step::Ask);
        silence.asked(7, asked);
        assert_eq!(silence.step(asked + AGAIN, |_| false, || true), Step::AskAgain);
        assert_eq!(silence.step(asked + 2 * AGAIN, |question| question == 7, || true), Step::Nothing);
        assert_eq!(silence.step(asked + 2 * PAUSE, |_| false, || true), Step::Ask);
    }

    #[test]
    fn one_that_does_not_is_ended() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.step(start + PAUSE, |_| false, || true), Step::Ask);
        silence.asked(7, start + PAUSE);
        assert_eq!(silence.step(start + PAUSE + LIMIT, |_| false, || true), Step::End);
    }
}
