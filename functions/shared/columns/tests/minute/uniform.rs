//! Minutes as `clickhouse_bench.py` makes them: uniform names, prices below 100,000, every tenth tag a BUY.

use std::sync::Arc;

use columns::{Block, BlockBuilder, Row};
use model::{Action, BatchId, Device, OwnIdentity};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What a minute is made of.
#[derive(Clone, Copy)]
pub(crate) struct Minute {
    /// How many tags.
    pub(crate) tags: usize,
    /// The most tags of a batch; the least is 1.
    pub(crate) most_in_batch: usize,
    /// How many countries: 1, or 100.
    pub(crate) countries: u32,
    /// How many devices: 1, or 3.
    pub(crate) devices: u8,
    /// Whether each tag has an identity of its own.
    pub(crate) own: bool,
    /// How many blocks.
    pub(crate) blocks: usize,
}

/// The contract's load: 1,000 tags a second.
pub(crate) const USUAL: Minute =
    Minute { tags: 60_000, most_in_batch: 30, countries: 100, devices: 3, own: false, blocks: 120 };

/// The names and numbers of one tag.
pub(crate) struct Tag {
    pub(crate) action: Action,
    pub(crate) names: [String; 4],
    pub(crate) device: Device,
    pub(crate) price: i32,
    pub(crate) own: Option<OwnIdentity>,
}

impl Tag {
    pub(crate) fn row(&self) -> Row<'_> {
        let [origin, brand, category, country] = &self.names;
        Row { origin, brand, category, country, device: self.device, price: self.price }
    }
}

/// The tags of a minute, the same for the same seed.
pub(crate) fn tags(minute: &Minute, seed: u64) -> Vec<Tag> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..minute.tags)
        .map(|_| Tag {
            action: if random.random_range(0..10) == 0 { Action::Buy } else { Action::View },
            names: [
                format!("ORIGIN_{}", random.random_range(0..1000)),
                format!("BRAND_{}", random.random_range(0..250)),
                format!("CATEGORY_{}", random.random_range(0..67)),
                format!("C{}", random.random_range(0..minute.countries)),
            ],
            device: Device::from_code(random.random_range(0..minute.devices)).expect("at most 3 devices"),
            price: random.random_range(0..100_000),
            own: minute.own.then(|| OwnIdentity(random.random())),
        })
        .collect()
}

/// Those tags in batches that two writers numbered, in blocks as a worker packs them.
pub(crate) fn encoded_blocks(minute: &Minute, seed: u64) -> Vec<Vec<u8>> {
    let tags = tags(minute, seed);
    let mut random = SmallRng::seed_from_u64(!seed);
    let writers: [Arc<str>; 2] = ["/user-tags/01J9ZQ3T5K7W".into(), "/user-tags/01J9ZQ8F2M4C".into()];
    let mut sequences = [71_003, 5_118];
    let mut blocks = vec![];
    for tags in tags.chunks(minute.tags.div_ceil(minute.blocks)) {
        let mut block = BlockBuilder::new();
        let mut left = tags;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(random.random_range(1..=minute.most_in_batch).min(left.len()));
            left = rest;
            let writer = random.random_range(0..2);
            let id = BatchId { source: Arc::clone(&writers[writer]), sequence: sequences[writer] };
            sequences[writer] += 1;
            batch.iter().for_each(|tag| block.push(&id, tag.action, tag.row(), tag.own));
        }
        blocks.push(block.finish());
    }
    blocks
}

/// The same, read back.
pub(crate) fn blocks(minute: &Minute, seed: u64) -> Vec<Block> {
    encoded_blocks(minute, seed)
        .into_iter()
        .map(|bytes| Block::decode(bytes).expect("a good block"))
        .collect()
}
