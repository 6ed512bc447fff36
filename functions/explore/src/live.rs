//! The newest minutes, as they change.
//!
//! All streams look at one board. Whoever looks first after a while brings it up to date: it takes the heads of the newest minutes
//! and counts those again whose heads have changed. Nothing runs while nobody looks. An event says how a minute is and not what has
//! changed in it, so that one that comes twice, or not at all before the next, does no harm: nothing is kept for a slow reader.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use columns::{Cut, Grouping, Groups, Measures};
use function::{Failure, Query, Reply, Request, Stream};
use futures_util::stream::unfold;
use model::clock::{Clock, SystemClock};
use model::{Action, BucketStart};
use serde_json::{Value, json};
use store::{Head, MinuteStore};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::scanners::Scanners;
use crate::{LIMITS, Records, Stop, decoded};

/// Minutes on the board, and in a stream that does not say how many.
const MOST_MINUTES: usize = 60;
const MINUTES: usize = 15;
/// How often the board is brought up to date, and each stream looks at it.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// What says nothing for longer is taken for dead by proxies, and by us.
const STILL_HERE: Duration = Duration::from_secs(10);
/// Streams at once: each is a connection, and a look each second.
const MOST_STREAMS: usize = 64;
/// How far the clocks of two instances may be apart: what changed so long before the last event that a client has is told again.
const CLOCKS_APART_MS: u64 = 5_000;

/// The newest minutes, and who looks at them.
#[derive(Debug)]
pub(crate) struct Live<S> {
    minutes: Arc<S>,
    scanners: Arc<Scanners>,
    board: Mutex<Board>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Board {
    looked: Option<Instant>,
    changed_ms: u64,
    minutes: BTreeMap<BucketStart, Minute>,
}

#[derive(Debug, Clone, Default)]
struct Minute {
    /// What the figures were counted from, or something older.
    head: Head,
    figures: [Measures; 2],
    changed_ms: u64,
}

/// One client's stream.
struct Watcher<S> {
    live: Arc<Live<S>>,
    minutes: usize,
    /// What changed later is to be told.
    since_ms: u64,
    said: Instant,
    next: Instant,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl<S: MinuteStore> Live<S> {
    pub(crate) fn new(minutes: Arc<S>, scanners: Arc<Scanners>) -> Self {
        let places = Arc::new(Semaphore::new(MOST_STREAMS));
        Self { minutes, scanners, board: Mutex::default(), places }
    }

    /// The stream that a request asks for.
    pub(crate) fn watch(self: &Arc<Self>, request: &Request) -> Result<Reply, Failure> {
        let minutes = minutes(&Query::parse(&request.query)?)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Failure::unavailable("too many streams at once"))?;
        let last = request.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let now = Instant::now();
        let watcher = Watcher {
            live: Arc::clone(self),
            minutes,
            since_ms: last.unwrap_or(0_u64).min(SystemClock.now_ms()).saturating_sub(CLOCKS_APART_MS),
            said: now,
            next: now,
            until: now + Stream::LASTS,
            _place: place,
        };
        Ok(Reply::Stream(Stream::events(unfold(watcher, Watcher::next))))
    }

    /// What changed in the newest minutes since then, as events, and until when that holds.
    async fn changed(&self, minutes: usize, since_ms: u64) -> Result<(String, u64), Stop> {
        let mut board = self.board.lock().await;
        if board.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EACH / 2) {
            self.look(&mut board).await?;
            board.looked = Some(Instant::now());
        }
        let mut events = String::new();
        let newest = board.minutes.iter().rev().take(minutes).collect::<Vec<_>>();
        for (bucket, minute) in newest.into_iter().rev().filter(|(_, minute)| minute.changed_ms > since_ms) {
            let (id, data) = (minute.changed_ms, told(*bucket, &minute.figures));
            write!(events, "id: {id}\nevent: minute\ndata: {data}\n\n").expect("a string takes all");
        }
        Ok((events, board.changed_ms))
    }

    /// Brings the board up to date.
    async fn look(&self, board: &mut Board) -> Result<(), Stop> {
        let mut buckets: Vec<BucketStart> = self
            .minutes
            .calendar()
            .await
            .map_err(store::ReadError::from)?
            .into_iter()
            .map(|(bucket, _)| bucket)
            .collect();
        drop(buckets.drain(..buckets.len().saturating_sub(MOST_MINUTES)));
        let heads = self.minutes.heads(&buckets).await.map_err(store::ReadError::from)?;
        let is_news = |(bucket, head): &(BucketStart, Head)| {
            board.minutes.get(bucket).is_none_or(|minute| minute.head != *head)
        };
        let news: Vec<(BucketStart, Head)> = buckets.iter().copied().zip(heads).filter(is_news).collect();
        let asked: Vec<BucketStart> = news.iter().map(|(bucket, _)| *bucket).collect();
        let records = self.scanners.read(&self.minutes, asked, None, |_| None).await?;
        let figures = self.scanners.run(move || count(records)).await??;
        let now_ms = SystemClock.now_ms().max(board.changed_ms + 1);
        for ((bucket, head), figures) in news.into_iter().zip(figures) {
            let minute = board.minutes.entry(bucket).or_default();
            minute.head = head;
            if minute.figures != figures {
                (minute.figures, minute.changed_ms) = (figures, now_ms);
                board.changed_ms = now_ms;
            }
        }
        board.minutes.retain(|bucket, _| buckets.binary_search(bucket).is_ok());
        Ok(())
    }
}

impl<S: MinuteStore> Watcher<S> {
    /// The next piece, when there is something to say.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            sleep_until(self.next).await;
            let now = Instant::now();
            if now >= self.until {
                return None;
            }
            self.next = now + LOOK_EACH;
            let piece = match self.live.changed(self.minutes, self.since_ms).await {
                Ok((events, until_ms)) => {
                    self.since_ms = self.since_ms.max(until_ms);
                    events
                }
                Err(stop) => {
                    tracing::warn!(cause = %stop, "the newest minutes cannot be told for now");
                    String::new()
                }
            };
            if !piece.is_empty() || now - self.said >= STILL_HERE {
                self.said = now;
                let piece = if piece.is_empty() { ": still here\n\n".to_owned() } else { piece };
                return Some((piece.into(), self));
            }
        }
    }
}

/// How many minutes are wanted.
fn minutes(query: &Query<'_>) -> Result<usize, Failure> {
    let Some(text) = query.one("minutes")? else { return Ok(MINUTES) };
    let number = text.parse().ok().filter(|number| (1..=MOST_MINUTES).contains(number));
    number.ok_or_else(|| Failure::malformed("minutes", format!("must be 1 to {MOST_MINUTES}")))
}

/// What is in each minute, by action.
fn count(minutes: Vec<Records>) -> Result<Vec<[Measures; 2]>, Stop> {
    let cut = Cut { prices: true, ..Cut::default() };
    let mut grouping = Grouping::new(Arc::new(cut), LIMITS);
    let mut figures = vec![[Measures::default(); 2]; minutes.len()];
    for (place, minute) in minutes.into_iter().enumerate() {
        let (chunks, blocks) = decoded(minute, |_, _| ())?;
        for (which, action) in Action::ALL.into_iter().enumerate() {
            grouping.add_minute((2 * place + which) as u32, action, &chunks, &blocks)?;
        }
    }
    for group in Groups::of(vec![grouping])?.groups {
        let step = group.step as usize;
        figures[step / 2][step % 2] = group.measures;
    }
    Ok(figures)
}

fn told(bucket: BucketStart, figures: &[Measures; 2]) -> Value {
    let of = |action: Action| {
        let which = Action::ALL.iter().position(|each| *each == action).expect("one of all");
        json!({"count": figures[which].count, "sum_price": figures[which].sum_price})
    };
    json!({"1m_bucket": bucket.to_string(), "views": of(Action::View), "buys": of(Action::Buy)})
}
