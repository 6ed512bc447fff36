//! Everything this crate does, against a list of rows and a set of what was counted.

use std::collections::HashSet;
use std::sync::Arc;

use columns::{
    Block, BlockBuilder, Chunk, Counted, DecodedChunk, Filter, Row, Totals, count, for_each_once, seal,
};
use model::{Action, BatchId, Device, OwnIdentity};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A tag by numbers; names are made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    action: Action,
    names: [usize; 4],
    device: Device,
    price: i32,
}

/// A tag in a batch: under the batch's identity, or under its own, which then is all that it says.
#[derive(Debug, Clone)]
enum Place {
    Batch(Tag),
    Own(usize),
}

/// What happens to a minute.
#[derive(Debug, Clone)]
enum Step {
    /// A block of these batches comes, by turns one tag of each.
    Block(Vec<usize>),
    /// Of the blocks that are there, those of the set bits are sealed.
    Seal(u8),
}

#[derive(Debug, Clone)]
struct World {
    names: Vec<String>,
    own_tags: Vec<Tag>,
    batches: Vec<Vec<Place>>,
    steps: Vec<Step>,
}

fn tag() -> impl Strategy<Value = Tag> {
    let device = select(vec![Device::Pc, Device::Mobile, Device::Tv]);
    let price = prop_oneof![0..100, any::<i32>(), Just(i32::MIN), Just(i32::MAX)];
    (select(Action::ALL.to_vec()), prop::array::uniform4(0usize..5), device, price)
        .prop_map(|(action, names, device, price)| Tag { action, names, device, price })
}

fn world() -> impl Strategy<Value = World> {
    let place = prop_oneof![3 => tag().prop_map(Place::Batch), 1 => (0usize..5).prop_map(Place::Own)];
    let step = prop_oneof![
        3 => vec(0usize..12, 0..6).prop_map(Step::Block),
        1 => any::<u8>().prop_map(Step::Seal),
    ];
    (names(), vec(tag(), 5), vec(vec(place, 0..6), 12), vec(step, 1..12))
        .prop_map(|(names, own_tags, batches, steps)| World { names, own_tags, batches, steps })
}

/// Mostly short; sometimes so long that a chunk holds but a few.
fn names() -> impl Strategy<Value = Vec<String>> {
    let short = ["", "a", "a_b", "ż", "\u{0}"].map(String::from).to_vec();
    let long = ["", "a", "b", "ż", "c"].map(|name| name.repeat(32_768)).to_vec();
    prop_oneof![9 => Just(short), 1 => Just(long)]
}

impl World {
    fn row<'a>(&'a self, tag: &'a Tag) -> Row<'a> {
        let [origin, brand, category, country] = tag.names.map(|name| self.names[name].as_str());
        Row { origin, brand, category, country, device: tag.device, price: tag.price }
    }

    fn tag<'a>(&'a self, place: &'a Place) -> &'a Tag {
        match place {
            Place::Batch(tag) => tag,
            Place::Own(own) => &self.own_tags[*own],
        }
    }

    fn id(batch: usize) -> BatchId {
        BatchId {
            source: Arc::from(["/a", "/b", ""][batch % 3]),
            sequence: [0, 7, u64::MAX - 4][batch % 3] + batch as u64 / 3,
        }
    }

    fn encode(&self, batches: &[usize]) -> Vec<u8> {
        let mut builder = BlockBuilder::new();
        let distinct: Vec<usize> = {
            let mut seen = HashSet::new();
            batches.iter().copied().filter(|batch| seen.insert(*batch)).collect()
        };
        for turn in 0..6 {
            for batch in &distinct {
                if let Some(place) = self.batches[*batch].get(turn) {
                    let own = match place {
                        Place::Own(own) => Some(OwnIdentity([*own as u8; 16])),
                        Place::Batch(_) => None,
                    };
                    let tag = self.tag(place);
                    builder.push(&Self::id(*batch), tag.action, self.row(tag), own);
                }
            }
        }
        let hint = builder.encoded_bytes_hint();
        let bytes = builder.finish();
        assert!(bytes.len() <= hint + 400, "{} bytes, not {hint}", bytes.len());
        bytes
    }

    /// The rows that count, sorted.
    fn truth(&self, action: Action, blocks: &[Vec<usize>]) -> Vec<Row<'_>> {
        let (mut batches, mut owns, mut rows) = (HashSet::new(), HashSet::new(), vec![]);
        for batch in blocks.iter().flatten() {
            let is_new = batches.insert(*batch);
            for place in &self.batches[*batch] {
                let counts = match place {
                    Place::Batch(_) => is_new,
                    Place::Own(own) => owns.insert(*own),
                };
                let tag = self.tag(place);
                if counts && tag.action == action {
                    rows.push(self.row(tag));
                }
            }
        }
        rows.sort_unstable();
        rows
    }
}

fn totals(rows: &[Row<'_>], filter: &Filter) -> Totals {
    let mut totals = Totals::default();
    rows.iter().filter(|row| filter.takes(row)).for_each(|row| totals.add_row(row.price.into()));
    totals
}

/// A minute as a store would hold it.
#[derive(Default)]
struct Minute {
    blocks: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
}

impl Minute {
    fn chunks(&self) -> Vec<Chunk> {
        self.chunks.iter().map(|bytes| Chunk::decode(bytes.clone()).unwrap()).collect()
    }

    fn blocks(&self) -> Vec<Block> {
        self.blocks.iter().map(|bytes| Block::decode(bytes.clone()).unwrap()).collect()
    }

    fn seal(&mut self, mask: u8) {
        let chosen = |place: usize| mask >> (place % 8) & 1 == 1;
        let blocks = self.blocks();
        for action in Action::ALL {
            let chosen =
                || blocks.iter().enumerate().filter(|(place, _)| chosen(*place)).map(|(_, block)| block);
            let chunks = self.chunks();
            let sealed = seal(action, &chunks, chosen()).unwrap();
            let turned: Vec<&Block> = chosen().chain(chosen()).collect();
            assert_eq!(
                seal(action, &chunks, turned.into_iter().rev()).unwrap(),
                sealed,
                "order and repeats do not matter"
            );
            assert!(sealed.chunks.iter().all(|chunk| chunk.len() <= columns::MAX_CHUNK_BYTES));
            assert!(sealed.replaced.iter().all(|place| chunks[*place].action() == action));
            sealed.replaced.iter().rev().for_each(|place| _ = self.chunks.remove(*place));
            self.chunks.extend(sealed.chunks);
        }
        let mut place = 0;
        self.blocks.retain(|_| {
            place += 1;
            !chosen(place - 1)
        });
    }

    fn check(&self, action: Action, truth: &[Row<'_>], filters: &[Filter]) {
        let (chunks, blocks) = (self.chunks(), self.blocks());
        let decoded: Vec<DecodedChunk> = chunks.iter().map(|chunk| chunk.decoded().unwrap()).collect();
        let lazy: Vec<&dyn Counted> = chunks.iter().map(|chunk| chunk as &dyn Counted).collect();
        let ready: Vec<&dyn Counted> = decoded.iter().map(|chunk| chunk as &dyn Counted).collect();
        for filter in filters {
            assert_eq!(count(action, &lazy, &blocks, filter), totals(truth, filter), "{filter:?}");
            assert_eq!(
                count(action, &ready, blocks.iter().rev(), filter),
                totals(truth, filter),
                "{filter:?}"
            );
        }
        let mut rows = vec![];
        for chunk in decoded.iter().filter(|chunk| chunk.action() == action) {
            rows.extend((0..chunk.rows()).map(|row| chunk.row(row)));
            assert_eq!(totals(&rows[rows.len() - chunk.rows()..], &Filter::default()), chunk.totals());
        }
        for_each_once(action, &ready, &blocks, |row| rows.push(row));
        rows.sort_unstable();
        assert_eq!(rows, truth);
    }
}

/// Each combination of names, given or not.
fn filters(names: &[String], codes: [usize; 3]) -> Vec<Filter> {
    let unknown = [String::from("unknown")];
    let name = |column: usize, given: bool| {
        given.then(|| names.iter().chain(&unknown).nth(codes[column]).unwrap().clone())
    };
    (0..8)
        .map(|given| Filter {
            origin: name(0, given & 1 != 0),
            brand: name(1, given & 2 != 0),
            category: name(2, given & 4 != 0),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn answers_are_those_of_the_rows(world in world(), codes in prop::array::uniform3(0usize..6)) {
        let filters = filters(&world.names, codes);
        let mut delivered = vec![];
        let mut minute = Minute::default();
        for step in &world.steps {
            match step {
                Step::Block(batches) => {
                    minute.blocks.push(world.encode(batches));
                    delivered.push(batches.clone());
                }
                Step::Seal(mask) => minute.seal(*mask),
            }
            for action in Action::ALL {
                minute.check(action, &world.truth(action, &delivered), &filters);
            }
        }
        minute.seal(u8::MAX);
        for action in Action::ALL {
            minute.check(action, &world.truth(action, &delivered), &filters);
        }
    }
}
