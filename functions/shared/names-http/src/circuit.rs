//! Whether it is worth asking: after a failure nobody waits for the next one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long nobody asks after a failure: long beside an answer, short beside the 2 s in which a shopper looks again.
const PAUSE: Duration = Duration::from_millis(500);
/// Everybody may ask.
const CLOSED: u64 = 0;

/// Closed while the last request had an answer. Open after a failure; then one request at a time tries.
#[derive(Debug)]
pub(crate) struct Circuit {
    epoch: Instant,
    /// Until when nobody may ask, in microseconds since the epoch.
    open_until: AtomicU64,
    /// How long the one that tries may take.
    attempt: Duration,
}

impl Circuit {
    /// Closed. A request takes so long at most.
    pub(crate) fn new(attempt: Duration) -> Self {
        Self { epoch: Instant::now(), open_until: AtomicU64::new(CLOSED), attempt }
    }

    /// Whether to ask now. Whoever may ask while the circuit is open is the only one, until it says what came of it, or its
    /// time is over.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let until = self.open_until.load(Ordering::Acquire);
        if until == CLOSED {
            return true;
        }
        let tried_by = self.since_epoch(now + self.attempt);
        until <= self.since_epoch(now)
            && self.open_until.compare_exchange(until, tried_by, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// There was an answer.
    pub(crate) fn close(&self) {
        self.open_until.store(CLOSED, Ordering::Release);
    }

    /// There was none.
    pub(crate) fn open(&self, now: Instant) {
        self.open_until.store(self.since_epoch(now + PAUSE), Ordering::Release);
    }

    /// Never [`CLOSED`].
    fn since_epoch(&self, instant: Instant) -> u64 {
        let micros = instant.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).max(CLOSED + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_at_a_time_tries() {
        let attempt = Duration::from_secs(2);
        let circuit = Circuit::new(attempt);
        let start = Instant::now();
        assert!(circuit.admits(start) && circuit.admits(start));
        circuit.open(start);
        assert!(!circuit.admits(start) && !circuit.admits(start + PAUSE - Duration::from_millis(1)));

        let trying = start + PAUSE;
        assert!(circuit.admits(trying));
        assert!(!circuit.admits(trying), "one tries, nobody else");
        assert!(circuit.admits(trying + attempt), "the one that tried was never heard of again");
        circuit.open(trying + attempt);
        assert!(!circuit.admits(trying + attempt));
        assert!(circuit.admits(trying + attempt + PAUSE));
        circuit.close();
        assert!(circuit.admits(start) && circuit.admits(start));
    }
}
