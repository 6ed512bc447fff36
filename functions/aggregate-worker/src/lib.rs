//! `aggregate-worker`: packs the tags of batches into blocks of minutes.
//!
//! What is delivered within [`GATHER`] is packed together, one immutable block for each minute touched, and only when the
//! store has the blocks are the deliveries acknowledged. A batch that comes again is packed again: readers and the sealer
//! count each identity once.

pub mod event;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use columns::{BlockBuilder, Row};
use function::{Access, Call, Description, Failure, Function, Newest, Reply};
use model::{Batch, BatchId, BucketStart, TopicEvent};
use opentelemetry::metrics::Counter;
use store::MinuteStore;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long deliveries are gathered after the first: fewer, larger blocks for a delay nobody notices.
pub const GATHER: Duration = Duration::from_millis(50);
/// The most rows packed together: what a replay at full speed may hold in memory.
const MAX_ROWS: usize = 16 * 1024;
/// The most deliveries that wait to be packed; more wait at their senders.
const MAX_WAITING: usize = 256;
/// The longest event in bytes: a batch of tags with the longest names there are.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The function.
#[derive(Debug)]
pub struct AggregateWorker {
    deliveries: mpsc::Sender<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    id: BatchId,
    batch: Batch,
    applied: oneshot::Sender<Result<(), Failure>>,
}

struct Packing<S> {
    minutes: S,
    deliveries: mpsc::Receiver<Delivery>,
    applied: Counter<u64>,
    too_late: Counter<u64>,
    newest: Newest,
}

impl AggregateWorker {
    /// Adds blocks to these minutes. Also gives the task that packs them: it ends when the function is dropped.
    pub fn new<S: MinuteStore>(minutes: S) -> (Self, impl Future<Output = ()> + Send + use<S>) {
        let (sender, deliveries) = mpsc::channel(MAX_WAITING);
        let meter = opentelemetry::global::meter("aggregate-worker");
        let counter = |name, help| meter.u64_counter(name).with_description(help).with_unit("{tag}").build();
        let packing = Packing {
            minutes,
            deliveries,
            applied: counter("allezon.aggregate.tags.applied", "Tags packed into blocks, repeats included."),
            too_late: counter("allezon.aggregate.tags.too_late", "Tags of minutes that are gone already."),
            newest: Newest::visible("aggregate-worker"),
        };
        (Self { deliveries: sender }, packing.run())
    }

    /// Packs a batch; returns when the store has it.
    pub async fn apply(&self, id: BatchId, batch: Batch) -> Result<(), Failure> {
        let (applied, answer) = oneshot::channel();
        let stopping = || Failure::unavailable("shutting down");
        self.deliveries.send(Delivery { id, batch, applied }).await.map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

impl Function for AggregateWorker {
    fn describe(&self) -> Description {
        Description {
            name: "aggregate-worker",
            path: "/aggregate_worker",
            routes: &[],
            events: &[],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match event::decode(&call)? {
            TopicEvent::Accepted(id, batch) => self.apply(id, batch).await?,
            // Aggregates hold no cookie: an erasure leaves them as they are.
            TopicEvent::Erased(_) => {}
        }
        Ok(Reply::Done)
    }
}

impl<S: MinuteStore> Packing<S> {
    async fn run(mut self) {
        while let Some(first) = self.deliveries.recv().await {
            let gathered = self.gather(first).await;
            let packed = self.pack(&gathered).await.map_err(|cause| Failure::not_now(&cause)).is_ok();
            for delivery in gathered {
                let result =
                    if packed { Ok(()) } else { Err(Failure::unavailable("the store is unavailable")) };
                // Whoever went away is delivered to again; no harm is done.
                let _ = delivery.applied.send(result);
            }
        }
    }

    async fn gather(&mut self, first: Delivery) -> Vec<Delivery> {
        let closing = Instant::now() + GATHER;
        let mut rows = first.batch.tags.len();
        let mut gathered = vec![first];
        while rows < MAX_ROWS {
            let Ok(Some(next)) = timeout_at(closing, self.deliveries.recv()).await else { break };
            rows += next.batch.tags.len();
            gathered.push(next);
        }
        gathered
    }

    async fn pack(&self, gathered: &[Delivery]) -> Result<(), store::Error> {
        let floor = self.minutes.floor().await?;
        let mut blocks = Blocks::default();
        let (mut applied, mut too_late) = (0, 0);
        let mut packed = HashSet::new();
        for Delivery { id, batch, .. } in gathered {
            // Within one block a batch that came twice would look like a batch of twice as many rows.
            if !packed.insert(id) {
                continue;
            }
            blocks.finish_full();
            for accepted in &batch.tags {
                let bucket = accepted.tag.time.instant().bucket();
                if floor.is_some_and(|floor| bucket < floor) {
                    too_late += 1;
                    continue;
                }
                let block = blocks.open.entry(bucket).or_default();
                block.push(id, accepted.tag.action, Row::of(&accepted.tag), accepted.identity);
                applied += 1;
            }
        }
        self.minutes.add_blocks(blocks.finish()).await?;
        self.applied.add(applied, &[]);
        self.too_late.add(too_late, &[]);
        gathered.iter().for_each(|delivery| self.newest.see(delivery.batch.accepted_ms));
        Ok(())
    }
}

/// The blocks that are being packed, and those that are.
#[derive(Default)]
struct Blocks {
    open: BTreeMap<BucketStart, BlockBuilder>,
    finished: Vec<(BucketStart, Bytes)>,
}

impl Blocks {
    /// Finishes what is full. Between two batches only: a batch's rows of a minute belong in one block.
    fn finish_full(&mut self) {
        for (bucket, block) in self.open.extract_if(.., |_, block| block.is_full()) {
            self.finished.push((bucket, block.finish().into()));
        }
    }

    fn finish(mut self) -> Vec<(BucketStart, Bytes)> {
        let open = self.open.into_iter().map(|(bucket, block)| (bucket, block.finish().into()));
        self.finished.extend(open);
        self.finished
    }
}
