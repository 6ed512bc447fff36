//! A turnstile: a clock lets numbered requests through, connections take them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// More than the tasks that ever wait at one gate.
const EVERYONE: usize = 1 << 20;

/// The turnstile. Numbers begin at 0.
#[derive(Debug)]
pub struct Gate {
    permits: Semaphore,
    next: AtomicU64,
    released: AtomicU64,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { permits: Semaphore::new(0), next: AtomicU64::new(0), released: AtomicU64::new(0) }
    }

    /// Lets all numbers below `total` through.
    pub fn release(&self, total: u64) {
        let before = self.released.fetch_max(total, Ordering::AcqRel);
        if let Some(more @ 1..) = total.checked_sub(before) {
            self.permits.add_permits(usize::try_from(more).expect("a number of requests"));
        }
    }

    /// Waits for the next number; `None` after [`Gate::finish`], when all that were released are taken.
    pub async fn enter(&self) -> Option<u64> {
        self.permits.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        (number < self.released.load(Ordering::Acquire)).then_some(number)
    }

    /// No more numbers will be released: those who wait go home when the rest is taken.
    pub fn finish(&self) {
        self.permits.add_permits(EVERYONE);
    }

    /// Nobody is let in any more, not even for numbers that were released.
    pub fn abort(&self) {
        self.permits.close();
    }

    /// How many numbers were let through and not taken.
    pub fn waiting(&self) -> u64 {
        self.released.load(Ordering::Acquire).saturating_sub(self.next.load(Ordering::Acquire))
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// A rate per second on a grid of 1 ms: requests are due in groups at whole milliseconds after the start.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When number 0 was due.
    pub start: Instant,
    /// Requests a second.
    pub per_second: f64,
}

/// The grid of due times, and how often a clock looks whether something is due.
pub const TICK: Duration = Duration::from_millis(1);

impl Pace {
    /// How many numbers are due at this instant.
    pub fn due(&self, now: Instant) -> u64 {
        let ticks = now.saturating_duration_since(self.start).as_millis();
        // Ticks and rates are far below 2^52, where floating point counts exactly enough.
        (ticks as f64 / 1000.0 * self.per_second) as u64 + 1
    }

    /// When this number was to be sent.
    pub fn intended(&self, number: u64) -> Instant {
        let ms = (number as f64 * 1000.0 / self.per_second).ceil();
        self.start + Duration::from_millis(ms as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn numbers_come_in_turn_and_end() {
        let gate = Gate::new();
        gate.release(2);
        gate.release(1);
        assert_eq!((gate.enter().await, gate.enter().await), (Some(0), Some(1)));
        gate.release(3);
        gate.finish();
        assert_eq!((gate.enter().await, gate.enter().await), (Some(2), None));
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn an_aborted_gate_lets_nobody_in() {
        let gate = Gate::new();
        gate.release(5);
        gate.abort();
        assert_eq!((gate.enter().await, gate.waiting()), (None, 5));
    }

    proptest! {
        #[test]
        fn nothing_is_due_before_it_is_intended(per_second in 0.1_f64..200_000.0, number in 0_u64..10_000_000) {
            let pace = Pace { start: Instant::now(), per_second };
            let intended = pace.intended(number);
            prop_assert!(pace.due(intended + TICK) > number);
            if intended > pace.start + 2 * TICK {
                prop_assert!(pace.due(intended - 2 * TICK) <= number);
            }
        }
    }
}
