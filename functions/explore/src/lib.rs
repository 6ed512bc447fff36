//! `explore`: answers what analysts ask beyond the contract: any filters, groups by up to three columns, steps from a minute
//! to a day, up to a day, on the same records and by the same rule as `aggregates`.
//!
//! Minutes are read ahead a few at a time and scanned on threads of the lowest priority, each of which gathers groups of its
//! own; these are joined at the end. So a question takes memory by its groups and not by its rows, and ends soon after its client
//! goes. Chunks that were read stay in memory for the next question, up to so many bytes (`kept.rs`). How questions are spelled is
//! in [`event`], how groups are counted in the room `columns`, how the newest minutes are told as they change in `live.rs`.

mod answer;
pub mod event;
mod kept;
mod live;
mod rests;
mod scanners;

use std::sync::Arc;
use std::time::Instant;

use columns::{Block, Chunk, Grouping, GroupingError, GroupingLimits, Groups};
use event::Question;
use function::{Access, Call, Description, Failure, Function, Refused, Reply, Route};
use futures_util::future::try_join_all;
use futures_util::stream::{self, Stream, StreamExt};
use kept::Kept;
use live::Live;
use model::{Action, BucketStart};
use rests::Rests;
use scanners::Scanners;
use store::{ChunkKey, MinuteRecords, MinuteStore, Piece, ReadError};
use tokio::sync::{Mutex, Semaphore};

/// Questions that are answered at once: a second one, so that a short one need not wait for a long one. Each takes up to some
/// 80 MiB: groups for each thread, and what was read ahead.
const ANSWERED_AT_ONCE: usize = 2;
/// Questions that wait for their turn; more are told to come back.
const WAITING: usize = 16;
/// Minutes that are read and scanned together: at 1,000 tags/s 1.2 MiB, at 25,000 tags/s 30 MiB.
const WINDOW_MINUTES: usize = 4;
/// Windows that are read before they are scanned.
const READ_AHEAD: usize = 4;
/// Chunks that are kept by default: a day at 1,000 tags a second takes some 470 MiB.
pub const KEPT_BYTES: u64 = 512 << 20;
/// Groups in each step, over all steps: a thousand origins by 250 brands, twice.
const LIMITS: GroupingLimits = GroupingLimits { groups: 1 << 19, name_bytes: 16 << 20 };
/// Where the newest minutes are told as they change.
const LIVE: &str = "/explore/live";
/// A thousand names of filters, of some 200 bytes each.
const BODY_LIMIT: usize = 256 * 1024;

/// The function.
#[derive(Debug)]
pub struct Explore<S> {
    minutes: Arc<S>,
    scanners: Arc<Scanners>,
    live: Arc<Live<S>>,
    kept: Arc<Kept>,
    turns: Semaphore,
    places: Semaphore,
}

/// A minute as it was read.
type Records = MinuteRecords<Arc<Chunk>>;
/// Minutes, and the step that each belongs to.
type Window = Vec<(u32, Records)>;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a record cannot be read")]
    Grouping(#[from] GroupingError),
    #[error("counting panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl<S: MinuteStore> Explore<S> {
    /// Answers from these minutes, and keeps chunks that were read for a question up to so many bytes.
    pub fn new(minutes: S, kept_bytes: u64) -> Self {
        Self::with(minutes, kept_bytes, Rests::none())
    }

    /// Answers in a process that takes tags too: the busier the machine is, the longer it rests between two scans.
    pub fn beside_tags(minutes: S, kept_bytes: u64) -> Self {
        Self::with(minutes, kept_bytes, Rests::beside_others())
    }

    fn with(minutes: S, kept_bytes: u64, rests: Rests) -> Self {
        let (minutes, scanners) = (Arc::new(minutes), Arc::new(Scanners::start(rests)));
        Self {
            live: Arc::new(Live::new(Arc::clone(&minutes), Arc::clone(&scanners))),
            minutes,
            scanners,
            kept: Arc::new(Kept::up_to(kept_bytes)),
            turns: Semaphore::new(ANSWERED_AT_ONCE),
            places: Semaphore::new(ANSWERED_AT_ONCE + WAITING),
        }
    }

    /// The groups of a question.
    pub async fn ask(&self, question: &Question) -> Result<Groups, Failure> {
        let _place =
            self.places.try_acquire().map_err(|_| Failure::unavailable("too many questions at once"))?;
        let _turn = self.turns.acquire().await.map_err(Failure::broken)?;
        self.kept.asked();
        self.gather(question).await.map_err(|stop| match stop {
            Stop::Grouping(cause @ (GroupingError::TooManyGroups(_) | GroupingError::TooLongNames(_))) => {
                let reason = format!("{cause}: filter more, group by less, or make steps longer");
                Failure::refused(Refused::TooLarge, None, reason)
            }
            Stop::Panicked(cause) => Failure::broken(cause),
            cause => Failure::not_now(&cause),
        })
    }

    async fn gather(&self, question: &Question) -> Result<Groups, Stop> {
        let windows = Mutex::new(self.windows(question).boxed());
        let lanes = (0..self.scanners.count()).map(|_| async {
            let mut grouping = Grouping::new(Arc::clone(&question.cut), LIMITS);
            while let Some(window) = { windows.lock().await.next().await } {
                let (window, action, kept) = (window?, question.action, Arc::clone(&self.kept));
                grouping = self.scanners.run(move || scan(grouping, window, action, &kept)).await??;
            }
            Ok::<_, Stop>(grouping)
        });
        let groupings = try_join_all(lanes).await?;
        Ok(self.scanners.run(move || Groups::of(groupings)).await??)
    }

    /// The minutes of a question, read ahead.
    fn windows(&self, question: &Question) -> impl Stream<Item = Result<Window, Stop>> {
        let (action, step_minutes) = (question.action, question.step_minutes as usize);
        let minutes: Vec<(u32, BucketStart)> = question
            .range
            .buckets()
            .enumerate()
            .map(|(n, bucket)| ((n / step_minutes) as u32, bucket))
            .collect();
        let windows: Vec<Vec<_>> = minutes.chunks(WINDOW_MINUTES).map(<[_]>::to_vec).collect();
        let read = move |window: Vec<(u32, BucketStart)>| async move {
            let buckets: Vec<BucketStart> = window.iter().map(|(_, bucket)| *bucket).collect();
            let kept = Arc::clone(&self.kept);
            let minutes =
                self.scanners.read(&self.minutes, buckets, action, move |key| kept.get(key)).await?;
            Ok(window.into_iter().map(|(step, _)| step).zip(minutes).collect())
        };
        stream::iter(windows).map(read).buffered(READ_AHEAD)
    }
}

fn scan(
    mut grouping: Grouping,
    window: Window,
    action: Option<Action>,
    kept: &Kept,
) -> Result<Grouping, GroupingError> {
    for (step, minute) in window {
        let (chunks, blocks) = decoded(minute, |key, chunk| kept.keep(key, chunk))?;
        for action in Action::ALL.into_iter().filter(|each| action.is_none_or(|action| action == *each)) {
            grouping.add_minute(step, action, &chunks, &blocks)?;
        }
    }
    Ok(grouping)
}

/// The records of a minute, decoded. What is decoded only now is shown to `fresh`.
fn decoded(
    minute: Records,
    fresh: impl Fn(ChunkKey, &Arc<Chunk>),
) -> Result<(Vec<Arc<Chunk>>, Vec<Block>), GroupingError> {
    let chunk = |(key, piece)| match piece {
        Piece::Known(chunk) => Ok(chunk),
        Piece::Stored(bytes) => {
            let chunk = Arc::new(Chunk::decode(bytes)?);
            fresh(key, &chunk);
            Ok(chunk)
        }
    };
    let chunks = minute.chunks.into_iter().map(chunk).collect::<Result<_, columns::Error>>()?;
    let blocks = minute.blocks.into_iter().map(Block::decode).collect::<Result<_, _>>()?;
    Ok((chunks, blocks))
}

impl<S: MinuteStore> Function for Explore<S> {
    fn describe(&self) -> Description {
        Description {
            name: "explore",
            path: "/explore",
            routes: const { &[Route::staff("POST", "/explore"), Route::staff("GET", LIVE)] },
            events: &[event::QUESTION_TYPE],
            events_from: Access::Staff,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        if let Call::Http(request) = &call
            && request.route == LIVE
        {
            return self.live.watch(request);
        }
        let question = event::decode(&call)?;
        let asked = Instant::now();
        let groups = self.ask(&question).await?;
        answer::encode(&question, &groups, asked.elapsed(), matches!(call, Call::Event(_)))
    }
}
