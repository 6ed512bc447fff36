//! `sealer` over the embedded store, `aggregates` to look at what it did, and the rows that are right.

use std::collections::{BTreeMap, HashSet};

use aggregates::Aggregates;
use aggregates::event::{Aggregate, Question};
use bytes::Bytes;
use columns::{Block, BlockBuilder, Chunk, Filter, Row, Totals};
use function::Failure;
use model::{Action, BatchId, BucketStart, Device, MinuteRange};
use sealer::Sealer;
use store::{MinuteStore, Sealing, Swap};
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// More than the chunks of a test.
const CACHED_BYTES: u64 = 1 << 20;

/// A minute after noon.
pub(crate) type Minute = u32;

/// The sealer, what it stands on, and what is in it.
pub(crate) struct Shop {
    pub(crate) store: EmbeddedStore,
    pub(crate) sealer: Sealer<EmbeddedStore>,
    /// Keeps its chunks over all that happens, so that old ones would show.
    reader: Aggregates<EmbeddedStore>,
    /// The batches of each minute.
    pub(crate) added: BTreeMap<Minute, HashSet<u64>>,
    kept: usize,
    directory: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::keeping(sealer::KEPT_MINUTES)
    }

    pub(crate) fn keeping(kept: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(directory.path(), Default::default()).expect("the store opens");
        let sealer = Sealer::keeping(store.clone(), kept);
        let reader = Aggregates::new(store.clone(), CACHED_BYTES);
        Self { store, sealer, reader, added: BTreeMap::new(), kept, directory }
    }

    /// Given so many minutes of three blocks each, one of them twice.
    pub(crate) async fn with_minutes(minutes: Minute) -> Self {
        let mut shop = Self::open();
        for minute in 0..minutes {
            for batches in [&[1, 2][..], &[3], &[2, 4]] {
                shop.add(minute, batches).await;
            }
        }
        shop
    }

    /// The process ends, and another one begins.
    pub(crate) async fn restart(&mut self) {
        self.store.close().await.expect("closes");
        let store = EmbeddedStore::open(self.directory.path(), Default::default()).expect("the store opens");
        self.sealer = Sealer::keeping(store.clone(), self.kept);
        self.reader = Aggregates::new(store.clone(), CACHED_BYTES);
        self.store = store;
    }

    /// Adds a block of these batches, which may be there already.
    pub(crate) async fn add(&mut self, minute: Minute, batches: &[u64]) {
        self.store.add_blocks(vec![(bucket(minute), block(batches))]).await.expect("adds");
        self.added.entry(minute).or_default().extend(batches);
    }

    pub(crate) async fn tick(&self) {
        self.sealer.tick().await.expect("ticks");
    }

    /// All answers of these minutes are those of what was added to them.
    pub(crate) async fn check(&self, minutes: impl IntoIterator<Item = Minute>) {
        for minute in minutes {
            let batches = self.added.get(&minute).cloned().unwrap_or_default();
            self.check_batches(minute, &batches).await;
        }
    }

    /// All answers of this minute are those of these batches.
    pub(crate) async fn check_batches(&self, minute: Minute, batches: &HashSet<u64>) {
        let rows = || batches.iter().flat_map(|batch| rows(*batch));
        for action in Action::ALL {
            for origin in [None, Some("o0"), Some("o1"), Some("never")] {
                let mut expected = Totals::default();
                for (_, row) in
                    rows().filter(|(its, row)| *its == action && origin.is_none_or(|o| o == row.origin))
                {
                    expected.add_row(row.price.into());
                }
                let found = self.ask(minute, action, origin).await.expect("the minute can be read");
                assert_eq!(found, expected, "minute {minute}, {action:?} of {origin:?}");
            }
        }
    }

    pub(crate) async fn ask(
        &self,
        minute: Minute,
        action: Action,
        origin: Option<&str>,
    ) -> Result<Totals, Failure> {
        let (from, to) = (bucket(minute), bucket(minute + 1));
        let range = MinuteRange::parse(&format!("{from}_{to}")).expect("a range");
        let filter = Filter { origin: origin.map(str::to_owned), ..Filter::default() };
        let question = Question { range, action, filter, aggregates: vec![Aggregate::Count] };
        Ok(self.reader.ask(&question).await?[0].1)
    }

    /// How many blocks wait in each minute that holds data.
    pub(crate) async fn blocks(&self) -> Vec<(Minute, usize)> {
        let calendar = self.store.calendar().await.expect("lists");
        let minute = |bucket: BucketStart| bucket.minutes() - bucket_of_noon();
        calendar
            .into_iter()
            .map(|(b, blocks)| (Minute::try_from(minute(b)).expect("afternoon"), blocks))
            .collect()
    }

    /// The minutes that hold data.
    pub(crate) async fn minutes(&self) -> Vec<Minute> {
        self.blocks().await.into_iter().map(|(minute, _)| minute).collect()
    }

    /// Every minute is sealed, and has its answers.
    pub(crate) async fn check_sealed(&self) {
        assert!(self.blocks().await.iter().all(|(_, blocks)| *blocks == 0));
        self.check(self.added.keys().copied()).await;
    }
}

/// What a sealing would put into the place of what it found.
pub(crate) async fn merged(store: &EmbeddedStore, sealing: &Sealing) -> Swap {
    let blocks = store.blocks(&sealing.head.blocks).await.expect("reads");
    let chunks = store.chunks(&sealing.head.chunks).await.expect("reads");
    let blocks: Vec<Block> =
        blocks.into_iter().map(|block| Block::decode(block.expect("is there")).expect("decodes")).collect();
    let chunks: Vec<Chunk> =
        chunks.into_iter().map(|chunk| Chunk::decode(chunk.expect("is there")).expect("decodes")).collect();
    let mut swap = Swap {
        bucket: sealing.bucket,
        token: sealing.token,
        merged: sealing.head.blocks.clone(),
        replaced: Vec::new(),
        chunks: Vec::new(),
    };
    for action in Action::ALL {
        let sealed = columns::seal(action, &chunks, &blocks).expect("seals");
        swap.replaced.extend(sealed.replaced.into_iter().map(|place| sealing.head.chunks[place]));
        swap.chunks.extend(sealed.chunks.into_iter().map(|chunk| (action, chunk.into())));
    }
    swap
}

pub(crate) fn bucket(minute: Minute) -> BucketStart {
    BucketStart::from_minutes(bucket_of_noon() + i64::from(minute))
}

/// 2022-03-22T12:00Z.
fn bucket_of_noon() -> i64 {
    27_465_840
}

/// A block of these batches.
pub(crate) fn block(batches: &[u64]) -> Bytes {
    let mut block = BlockBuilder::new();
    for &sequence in batches {
        let id = BatchId { source: "/user-tags/test".into(), sequence };
        for (action, row) in rows(sequence) {
            block.push(&id, action, row, None);
        }
    }
    block.finish().into()
}

/// The rows of a batch, which follow from its number.
fn rows(batch: u64) -> impl Iterator<Item = (Action, Row<'static>)> {
    (0..batch % 4 + 1).map(move |index| {
        let action = if (batch + index).is_multiple_of(3) { Action::Buy } else { Action::View };
        let row = Row {
            origin: ["o0", "o1", ""][(batch + index) as usize % 3],
            brand: "b",
            category: "c",
            country: "CL",
            device: Device::Tv,
            price: i32::try_from(batch * 10 + index).expect("a small batch"),
        };
        (action, row)
    })
}
