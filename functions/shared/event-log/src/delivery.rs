//! Delivery: hands the events of a log to a sink, at least once each, until they are acknowledged.
//!
//! Works over any log that can be read from a position, and keeps KafkaSource's manners, so that a function meets the same
//! in both worlds: many events under way at once, in no order; what is refused for now comes again after a growing pause
//! and holds up nobody else; what is refused for ever goes to the dead letters. What is acknowledged is a position:
//! everything before it is done with.
//!
//! [`deliver`] is the loop, [`Sink`] what it hands events to, [`Progress`] what it tells about itself.

mod attempt;
mod counters;
mod progress;
mod window;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Error, EventLog, Position, Recorded};
use attempt::Attempts;
pub use progress::Progress;
use window::Window;

/// Takes the events of a log.
pub trait Sink: Send + Sync + 'static {
    /// Takes one event. When it answers `Ok`, whatever the event was to bring about is as safe as the sink promises, and
    /// the event is acknowledged. Is called any number of times at once, in any order, and again for the same event.
    fn deliver(&self, recorded: Recorded) -> impl Future<Output = Result<(), Rejection>> + Send;

    /// Puts aside an event that `deliver` refused for ever, so that a person can look at it. It must be durable before the
    /// answer: the event is acknowledged then. After an error it is tried again, without an end.
    fn bury(&self, recorded: Recorded, reason: String) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Why a sink did not take an event, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Not now. It comes again.
    Later(String),
    /// Never. It goes to the dead letters.
    Never(String),
}

/// How much is under way at once, and how patient the loop is.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events being delivered, or waiting to be delivered again. KafkaSource has up to 92.
    pub in_flight: usize,
    /// Bytes of data of the events read and not yet taken. At least one event is under way even if it is larger.
    pub in_flight_bytes: usize,
    /// Events from the acknowledged position to the newest one taken: how far others may run ahead of one that is refused
    /// again and again. After a crash so many may come again.
    pub span: usize,
    /// The pause before the second attempt; before the third it is twice as long, and so on.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// How long events under way may take to end after the shutdown signal. What has not ended then is not acknowledged.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 64,
            in_flight_bytes: 16 * 1024 * 1024,
            span: 4096,
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            drain: Duration::from_secs(5),
        }
    }
}

/// A read brings at most this part of what may be under way, so that there is something to hand out all the time.
const READS_PER_WINDOW: usize = 4;
/// How long one read of the log waits for something new. Only bounds the life of a read, nothing is late by it.
const READ_WAIT: Duration = Duration::from_secs(10);
/// The longest pause before a log that could not be read is read again, however patient the limits are with an event.
const READ_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Delivers from `progress.acknowledged()` on, until `shutdown` resolves. Then what is under way may end for
/// [`Limits::drain`], and `progress` tells the last acknowledged position.
///
/// A log that is unavailable or damaged is read again after a pause, and logged; the loop itself never fails.
pub async fn deliver<L: EventLog, S: Sink>(
    log: Arc<L>,
    sink: Arc<S>,
    limits: Limits,
    progress: Arc<Progress>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let attempts = Attempts::new(log, sink, limits.clone(), Arc::clone(progress.consumer()));
    let mut delivery = Delivery {
        window: Window::new(progress.acknowledged(), &limits),
        under_way: FuturesUnordered::new(),
        reading: None,
        failed_reads: 0,
        attempts,
        limits,
        progress,
    };
    let mut shutdown = pin!(shutdown);
    while delivery.step(shutdown.as_mut()).await {}
    delivery.drain().await;
}

type Reading = Pin<Box<dyn Future<Output = Result<Vec<Recorded>, Error>> + Send>>;
type UnderWay = Pin<Box<dyn Future<Output = Position> + Send>>;

struct Delivery<L, S> {
    attempts: Attempts<L, S>,
    window: Window,
    under_way: FuturesUnordered<UnderWay>,
    reading: Option<Reading>,
    failed_reads: u32,
    limits: Limits,
    progress: Arc<Progress>,
}

impl<L: EventLog, S: Sink> Delivery<L, S> {
    /// Starts what may start, then waits for one thing to happen. False after the shutdown signal.
    async fn step(&mut self, shutdown: Pin<&mut (impl Future<Output = ()> + Send)>) -> bool {
        while let Some(recorded) = self.window.take() {
            self.under_way.push(Box::pin(self.attempts.clone().until_done(recorded)));
        }
        if self.reading.is_none() && self.window.wants_more() {
            self.reading = Some(self.read());
        }
        let idle = self.under_way.is_empty();
        tokio::select! {
            biased;
            () = shutdown => return false,
            Some(position) = self.under_way.next(), if !idle => self.window.done(position),
            read = read_or_never(&mut self.reading) => {
                self.reading = None;
                self.receive(read);
            }
        }
        self.progress.update(&self.window);
        true
    }

    fn read(&self) -> Reading {
        let (log, from) = (self.attempts.log(), self.window.read_to());
        let bytes = self.limits.in_flight_bytes / READS_PER_WINDOW;
        let pause = (self.limits.pause * self.failed_reads).min(self.limits.pause_max).min(READ_PAUSE_MAX);
        Box::pin(async move {
            sleep(pause).await;
            log.read(from, bytes, READ_WAIT).await
        })
    }

    fn receive(&mut self, read: Result<Vec<Recorded>, Error>) {
        match read {
            Ok(events) => {
                self.failed_reads = 0;
                self.progress.reads_again();
                self.window.extend(events);
            }
            Err(error) => {
                self.failed_reads = self.failed_reads.saturating_add(1);
                self.progress.cannot_read();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(consumer = &**self.progress.consumer(), %error, cause, "cannot read the log, trying again");
            }
        }
    }

    /// Lets what is under way end, for so long.
    async fn drain(mut self) {
        let until = Instant::now() + self.limits.drain;
        while let Ok(Some(position)) = timeout_at(until, self.under_way.next()).await {
            self.window.done(position);
            self.progress.update(&self.window);
        }
    }
}

async fn read_or_never(reading: &mut Option<Reading>) -> Result<Vec<Recorded>, Error> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
