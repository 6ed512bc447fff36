//! One kind of request, with its clock, its connections and its counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::options::{Kind, LoadOptions};
use crate::connection::{Connection, Exception, Question};
use crate::dice::{Dice, Purpose};
use crate::gate::{Gate, Pace};
use crate::questions;
use crate::questions::aggregates::AggregatesQuestion;
use crate::questions::profile::ProfileQuestion;
use crate::stream::{Stream, minute_of};
use crate::tally::Tally;

/// Pause after a connection that could not be opened.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// What all lanes share.
#[derive(Debug)]
pub struct Load {
    /// The stream.
    pub stream: Stream,
    aggregates_minutes: u32,
    next_tag: AtomicU64,
    next_question: AtomicU64,
    stopped: AtomicBool,
}

/// One kind of request.
#[derive(Debug)]
pub struct Lane {
    /// Which.
    pub kind: Kind,
    /// The clock and the gate of an open loop.
    pub open: Option<(Pace, Gate)>,
    load: Arc<Load>,
    tally: Mutex<Tally>,
}

impl Load {
    /// A load that has not begun.
    pub fn new(options: &LoadOptions) -> Self {
        Self {
            stream: Stream::new(options.shape.clone(), 0),
            aggregates_minutes: options.aggregates_minutes,
            next_tag: AtomicU64::new(u64::from(options.tags_before)),
            next_question: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// How many tags of the stream were sent, by this load or before.
    pub fn sent(&self) -> u32 {
        u32::try_from(self.next_tag.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// No more requests are sent.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// The load has ended.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn question(&self, kind: Kind, path: &str, text: &mut String) -> Option<Question> {
        let mut body = Bytes::new();
        let path = match kind {
            Kind::Tags => {
                let number = u32::try_from(self.next_tag.fetch_add(1, Ordering::Relaxed)).ok()?;
                text.clear();
                self.stream.push_json(text, &self.stream.tag(number));
                body = Bytes::copy_from_slice(text.as_bytes());
                path.to_owned()
            }
            Kind::Profiles => self.profile_question().path(&self.stream, path),
            Kind::Aggregates => self.aggregates_question().path(&self.stream, path),
        };
        Some(Question { uri: questions::uri(path), body, key: None })
    }

    fn dice(&self, purpose: Purpose) -> (u64, Dice) {
        let number = self.next_question.fetch_add(1, Ordering::Relaxed);
        // Other questions than those of another load on the same target.
        let number = number + (u64::from(self.sent()) << 32);
        (number, Dice::new(self.stream.shape().seed, purpose, number))
    }

    /// The whole profile of a cookie that has a tag.
    fn profile_question(&self) -> ProfileQuestion {
        let (_, mut dice) = self.dice(Purpose::ProfileQuestion);
        let sent = self.sent().max(1);
        let cookie = self.stream.tag(dice.below_u32(sent)).cookie;
        ProfileQuestion::whole(&self.stream, cookie, sent)
    }

    /// A range anywhere in what was sent, with random filters.
    fn aggregates_question(&self) -> AggregatesQuestion {
        let (number, mut dice) = self.dice(Purpose::AggregatesQuestion);
        let minutes = (minute_of(self.sent()) + 1).max(self.aggregates_minutes);
        let to = self.aggregates_minutes + dice.below_u32(minutes - self.aggregates_minutes + 1);
        AggregatesQuestion::about(&self.stream, number, to - self.aggregates_minutes, to)
    }
}

impl Lane {
    /// A lane whose clock begins at `start`.
    pub fn new(load: &Arc<Load>, kind: Kind, rate: Option<f64>, start: Instant) -> Self {
        let open = rate.map(|per_second| (Pace { start, per_second }, Gate::new()));
        Self { kind, open, load: Arc::clone(load), tally: Mutex::default() }
    }

    /// The counts.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that were due and not sent, because all connections were busy.
    pub fn unsent(&self) -> u64 {
        self.open.as_ref().map_or(0, |(_, gate)| gate.waiting())
    }

    /// Sends requests until the load ends.
    pub async fn drive(self: Arc<Self>, mut connection: Connection) {
        let path = connection.endpoint().path.clone();
        let mut text = String::with_capacity(512);
        while let Some(intended) = self.next_start().await {
            let Some(question) = self.load.question(self.kind, &path, &mut text) else { return };
            let result = connection.ask(question).await;
            self.tally().add(&result, intended.elapsed());
            if result.is_err_and(|exception| exception == Exception::Connect) {
                // A target that refuses connections must not make this a busy loop.
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
        }
    }

    /// When the next request was to begin: now in a closed loop, at its time on the grid in an open one.
    async fn next_start(&self) -> Option<Instant> {
        if self.load.is_stopped() {
            return None;
        }
        match &self.open {
            None => Some(Instant::now()),
            Some((pace, gate)) => Some(pace.intended(gate.enter().await?)),
        }
    }
}
