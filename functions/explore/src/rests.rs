//! How long whoever scans beside the tags rests: the busier the processors are with other things, the longer.
//!
//! The lowest priority is not enough. Whoever takes tags waits for disks most of the time, a scan runs meanwhile, and then holds its
//! processor, its caches and its share of the memory for some milliseconds more (docs/benchmarks.md, Explore beside the tags).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Linux tells of all processors here.
const TOLD: &str = "/proc/stat";
/// It counts in hundredths of a second.
const LOOK_EACH: Duration = Duration::from_millis(200);
/// Of what a scan took: so that a question comes to its end on a machine that has no time at all, too.
const MOST: f64 = 90.0;

/// What all processors did since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    /// Of it for those that are not of a low priority.
    busy: u64,
    all: u64,
}

/// When the next scan may begin.
#[derive(Debug)]
pub(crate) struct Rests {
    look: fn() -> Option<Ticks>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free_at: Instant,
    looked: Option<(Instant, Ticks)>,
    /// The part of the processors that others take, 0 to 1.
    busy: f64,
}

impl Rests {
    /// For whoever has processors of his own.
    pub(crate) fn none() -> Self {
        Self::by(|| None)
    }

    /// By what Linux tells; elsewhere nobody rests.
    pub(crate) fn beside_others() -> Self {
        Self::by(|| ticks(&std::fs::read_to_string(TOLD).ok()?))
    }

    fn by(look: fn() -> Option<Ticks>) -> Self {
        let state = State { free_at: Instant::now(), looked: None, busy: 0.0 };
        Self { look, state: Mutex::new(state) }
    }

    /// Returns when a scan may begin.
    pub(crate) async fn over(&self) {
        let free_at = self.state().free_at;
        if free_at > Instant::now() {
            sleep_until(free_at).await;
        }
    }

    /// A scan has had a processor for so long.
    pub(crate) fn after(&self, took: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        state.look(now, self.look);
        let rest = rest(took, state.busy);
        // Who never rests goes by no clock: that of a test may stand still.
        if !rest.is_zero() {
            state.free_at = state.free_at.max(now) + rest;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self, now: Instant, look: fn() -> Option<Ticks>) {
        if self.looked.is_some_and(|(at, _)| now - at < LOOK_EACH) {
            return;
        }
        let Some(ticks) = look() else { return };
        if let Some((_, before)) = self.looked.replace((now, ticks)) {
            let (busy, all) = (ticks.busy.saturating_sub(before.busy), ticks.all.saturating_sub(before.all));
            self.busy = if all == 0 { 0.0 } else { busy as f64 / all as f64 };
        }
    }
}

/// Fifteen times as long as a scan would stand in a queue for what is left of the processors. Measured: what it costs others is more than its time.
fn rest(took: Duration, busy: f64) -> Duration {
    let left = (1.0 - busy).max(f64::EPSILON);
    took.mul_f64((15.0 * busy / left).clamp(0.0, MOST))
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal. What is nice is as modest as we are.
fn ticks(text: &str) -> Option<Ticks> {
    let mut numbers = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (user, nice, system, idle, iowait) = (next()?, next()?, next()?, next()?, next()?);
    let (irq, softirq, steal) = (next()?, next()?, next()?);
    let busy = user + system + irq + softirq + steal;
    Some(Ticks { busy, all: busy + nice + idle + iowait })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn linux_tells_what_the_processors_do() {
        let text = "cpu  10 500 20 300 40 1 2 3 0 0\ncpu0 5 0 10 150 20 0 1 1 0 0\n";
        assert_eq!(ticks(text), Some(Ticks { busy: 36, all: 876 }));
        for other in ["", "cpu", "cpu  1 2 3\n", "intr 5\n", "cpu  a b c d e f g h\n"] {
            assert_eq!(ticks(other), None, "{other}");
        }
        if cfg!(target_os = "linux") {
            let told = ticks(&std::fs::read_to_string(TOLD).expect("Linux tells"));
            assert!(told.is_some_and(|ticks| ticks.all >= ticks.busy));
        }
    }

    #[test]
    fn the_less_is_left_the_longer_is_the_rest() {
        let of = |busy: f64| rest(Duration::from_millis(100), busy).as_millis();
        assert_eq!(
            [of(0.0), of(0.5), of(0.75), of(0.9), of(1.0), of(2.0)],
            [0, 1_500, 4_500, 9_000, 9_000, 9_000]
        );
    }

    /// Processors that are busy for nine tenths of each second.
    fn nine_tenths() -> Option<Ticks> {
        static SECONDS: AtomicU64 = AtomicU64::new(0);
        let seconds = SECONDS.fetch_add(1, Ordering::SeqCst);
        Some(Ticks { busy: 90 * seconds, all: 100 * seconds })
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_waits_for_the_rest_of_the_one_before() {
        let rests = Rests::by(nine_tenths);
        let waited = async || {
            let began = Instant::now();
            rests.over().await;
            began.elapsed().as_millis()
        };
        rests.after(Duration::from_millis(100));
        assert_eq!(waited().await, 0, "nothing is known yet");
        tokio::time::advance(LOOK_EACH).await;
        // Of two threads.
        rests.after(Duration::from_millis(100));
        rests.after(Duration::from_millis(100));
        assert_eq!(waited().await, 18_000);
        assert_eq!(waited().await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_processors_of_his_own_does_not_rest() {
        let rests = Rests::none();
        for _ in 0..3 {
            rests.after(Duration::from_secs(1));
            let began = Instant::now();
            rests.over().await;
            assert_eq!(began.elapsed(), Duration::ZERO);
            tokio::time::advance(LOOK_EACH).await;
        }
    }
}
