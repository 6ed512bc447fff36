//! Everything this crate does, against a list of rows and a set of what was counted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use columns::{
    Block, BlockBuilder, Chunk, Column, Condition, Counted, Cut, DecodedChunk, Filter, Grouping,
    GroupingLimits, Groups, MAX_GROUPED, Measures, Row, Totals, count, for_each_once, seal,
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

    /// What a step does to it; the batches that came are noted.
    fn take(&mut self, world: &World, step: &Step, delivered: &mut Vec<Vec<usize>>) {
        match step {
            Step::Block(batches) => {
                self.blocks.push(world.encode(batches));
                delivered.push(batches.clone());
            }
            Step::Seal(mask) => self.seal(*mask),
        }
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

/// A condition whose values are places among the names.
type Places = (Column, Option<Vec<usize>>, Vec<usize>);

/// Any conditions, any columns to group by, and whether prices count.
fn cut() -> impl Strategy<Value = (Vec<Places>, Vec<Column>, bool)> {
    let values = || vec(0usize..9, 0..4);
    let condition = (select(Column::ALL.to_vec()), prop::option::of(values()), values());
    let group_by = prop::sample::subsequence(Column::ALL.to_vec(), 0..=MAX_GROUPED).prop_shuffle();
    (vec(condition, 0..3), group_by, any::<bool>())
}

fn value<'a>(row: &Row<'a>, column: Column) -> &'a str {
    match column {
        Column::Origin => row.origin,
        Column::Brand => row.brand,
        Column::Category => row.category,
        Column::Country => row.country,
        Column::Device => row.device.as_str(),
    }
}

type Expected<'a> = BTreeMap<(u32, Vec<&'a str>), Measures>;

fn expected<'a>(expected: &mut Expected<'a>, step: u32, truth: &[Row<'a>], cut: &Cut) {
    for row in truth {
        let fits = |condition: &Condition| {
            let value = value(row, condition.column).to_owned();
            condition.one_of.as_ref().is_none_or(|names| names.contains(&value))
                && !condition.none_of.contains(&value)
        };
        if cut.conditions.iter().all(fits) {
            let key = cut.group_by.iter().map(|column| value(row, *column)).collect();
            let price = if cut.prices { row.price } else { 0 };
            expected.entry((step, key)).or_default().add_row(price);
        }
    }
}

fn counts_only(mut measures: Measures) -> Measures {
    (measures.sum_price, measures.min_price, measures.max_price) = (0, 0, 0);
    measures
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
    fn groups_are_those_of_the_rows(worlds in vec(world(), 1..4), (conditions, group_by, prices) in cut()) {
        let names = || worlds[0].names.iter().map(String::as_str).chain(["PC", "TV", "unknown", "MOBILE"]);
        let values = |places: Vec<usize>| -> HashSet<String> {
            places.into_iter().map(|p| names().nth(p).unwrap().to_owned()).collect()
        };
        let condition = |(column, one_of, none_of): (_, Option<_>, _)| {
            Condition { column, one_of: one_of.map(values), none_of: values(none_of) }
        };
        let cut = Arc::new(Cut { conditions: conditions.into_iter().map(condition).collect(), group_by, prices });
        let limits = GroupingLimits { groups: 1 << 19, name_bytes: 1 << 25 };
        let mut groupings = vec![Grouping::new(Arc::clone(&cut), limits), Grouping::new(Arc::clone(&cut), limits)];
        let mut wanted = Expected::new();
        let mut rows = 0;
        for (turn, world) in worlds.iter().enumerate() {
            let (mut minute, mut delivered) = (Minute::default(), vec![]);
            world.steps.iter().for_each(|step| minute.take(world, step, &mut delivered));
            for action in Action::ALL {
                let truth = world.truth(action, &delivered);
                rows += truth.len() as u64;
                expected(&mut wanted, turn as u32 / 2, &truth, &cut);
                let (chunks, blocks) = (minute.chunks(), minute.blocks());
                groupings[turn % 2].add_minute(turn as u32 / 2, action, &chunks, &blocks).unwrap();
            }
        }
        let groups = Groups::of(groupings).unwrap();
        prop_assert!(groups.scanned_rows <= rows);
        let named = |group: &columns::Group| {
            let name = |(names, place): (&'_ Vec<Box<str>>, u32)| names[place as usize].to_string();
            groups.names.iter().zip(group.places).map(name).collect::<Vec<_>>()
        };
        let tidy = |measures: Measures| if cut.prices { measures } else { counts_only(measures) };
        let found: Vec<_> = groups.groups.iter().map(|g| ((g.step, named(g)), tidy(g.measures))).collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|((step, key), m)| ((step, key.into_iter().map(String::from).collect()), tidy(m)))
            .collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn answers_are_those_of_the_rows(world in world(), codes in prop::array::uniform3(0usize..6)) {
        let filters = filters(&world.names, codes);
        let mut delivered = vec![];
        let mut minute = Minute::default();
        for step in &world.steps {
            minute.take(&world, step, &mut delivered);
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
