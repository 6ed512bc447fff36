//! Up to which tag everything must be visible: everything before it came back long enough ago, by the wall clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The horizon of one kind of query.
#[derive(Debug)]
pub struct Horizon {
    visibility: Duration,
    marks: VecDeque<(Instant, u32)>,
    reached: u32,
}

impl Horizon {
    /// A horizon so long behind.
    pub fn new(visibility: Duration) -> Self {
        Self { visibility, marks: VecDeque::new(), reached: 0 }
    }

    /// At `now` all tags below `settled` had come back. Says below which number all must be visible.
    pub fn advance(&mut self, now: Instant, settled: u32) -> u32 {
        if self.marks.back().is_none_or(|mark| mark.1 < settled) {
            self.marks.push_back((now, settled));
        }
        while let Some(&(at, settled)) = self.marks.front()
            && now.saturating_duration_since(at) >= self.visibility
        {
            self.reached = settled;
            self.marks.pop_front();
        }
        self.reached
    }
}

/// When questions of one kind are asked: the first after `first` tags, then one after each `every` tags.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Tags before the first question; not 0.
    pub first: u32,
    /// Tags from one question to the next.
    pub every: u32,
}

impl Schedule {
    /// How many questions may be asked when the first `horizon` tags are visible.
    pub fn due(&self, horizon: u32) -> u64 {
        horizon.checked_sub(self.first).map_or(0, |more| u64::from(more / self.every) + 1)
    }

    /// The tags that the question with this number is about: all below the answer.
    pub fn visible(&self, number: u64) -> u32 {
        let visible = u64::from(self.first) + number * u64::from(self.every);
        u32::try_from(visible).expect("only questions about a stream's tags are due")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settled_is_visible_after_its_time_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut horizon = Horizon::new(Duration::from_secs(10));
        let steps = [(0, 5, 0), (4, 9, 0), (9, 20, 0), (10, 30, 5), (13, 30, 5), (14, 30, 9), (30, 31, 30)];
        for (second, settled, reached) in steps {
            assert_eq!(horizon.advance(at(second), settled), reached, "second {second}");
        }
    }

    #[test]
    fn the_first_question_comes_after_the_first_tags() {
        let schedule = Schedule { first: 10_000, every: 10 };
        for (horizon, due) in [(0, 0), (9_999, 0), (10_000, 1), (10_019, 2)] {
            assert_eq!(schedule.due(horizon), due);
        }
        assert_eq!((schedule.visible(0), schedule.visible(1)), (10_000, 10_010));
    }
}
