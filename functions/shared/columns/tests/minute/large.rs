//! Minutes of several chunks, and columns of very many names.

use std::sync::Arc;

use crate::uniform::{Minute, USUAL, blocks, tags};
use columns::{
    Block, BlockBuilder, Chunk, Filter, MAX_CHUNK_BYTES, MAX_CHUNK_ROWS, Row, Sealed, Totals, count, seal,
};
use model::{Action, BatchId, Device};

fn apply(chunks: &mut Vec<Chunk>, sealed: Sealed) {
    sealed.replaced.iter().rev().for_each(|place| _ = chunks.remove(*place));
    assert!(sealed.chunks.iter().all(|bytes| bytes.len() <= MAX_CHUNK_BYTES));
    chunks.extend(sealed.chunks.into_iter().map(|bytes| Chunk::decode(bytes).unwrap()));
}

fn ask(chunks: &[Chunk], filter: &Filter) -> Totals {
    let chunks: Vec<_> = chunks.iter().map(|chunk| chunk as _).collect();
    count(Action::View, &chunks, [], filter)
}

/// Blocks of `rows` rows, numbered on; `row` says what each is.
fn numbered(rows: std::ops::Range<u32>, row: impl Fn(u32) -> (String, i32)) -> Vec<Block> {
    let source: Arc<str> = "/load".into();
    let (first, last) = (rows.start, rows.end);
    (first..last)
        .step_by(45_000)
        .map(|start| {
            let mut block = BlockBuilder::new();
            for number in start..last.min(start + 45_000) {
                let (origin, price) = row(number);
                let row = Row {
                    origin: &origin,
                    brand: "b",
                    category: "",
                    country: "PL",
                    device: Device::Tv,
                    price,
                };
                let batch = BatchId { source: Arc::clone(&source), sequence: u64::from(number) / 9 };
                block.push(&batch, Action::View, row, None);
            }
            Block::decode(block.finish()).unwrap()
        })
        .collect()
}

#[test]
fn a_full_chunk_is_left_alone() {
    let minute = Minute { tags: 100_000, most_in_batch: 60, blocks: 20, own: true, ..USUAL };
    let all = blocks(&minute, 3);
    let tags = tags(&minute, 3);
    let mut chunks = vec![];
    for stage in all.chunks(4) {
        let full =
            chunks.iter().filter(|chunk: &&Chunk| chunk.encoded_bytes() >= MAX_CHUNK_BYTES / 2).count();
        let sealed = seal(Action::View, &chunks, stage).unwrap();
        assert!(sealed.replaced.len() <= chunks.len() - full);
        assert!(sealed.replaced.len() <= 1, "a minute has one chunk that is not full");
        apply(&mut chunks, sealed);
        assert_eq!(seal(Action::View, &chunks, stage).unwrap(), Sealed::default(), "nothing new");
    }
    assert!(chunks.len() > 3 && chunks.len() < 10, "{}", chunks.len());
    for filter in [
        Filter::default(),
        Filter { origin: Some("ORIGIN_17".into()), ..Filter::default() },
        Filter { brand: Some("BRAND_3".into()), ..Filter::default() },
        Filter { brand: Some("BRAND_3".into()), category: Some("CATEGORY_5".into()), ..Filter::default() },
        Filter { origin: Some("ORIGIN_17".into()), category: Some("CATEGORY_5".into()), ..Filter::default() },
    ] {
        let mut truth = Totals::default();
        for tag in tags.iter().filter(|tag| tag.action == Action::View && filter.takes(&tag.row())) {
            truth.add_row(tag.price.into());
        }
        assert_eq!(ask(&chunks, &filter), truth);
        assert_eq!(chunks.iter().map(|chunk| chunk.decoded().unwrap().scan(&filter)).sum::<Totals>(), truth);
    }
}

#[test]
fn every_row_may_have_a_name_of_its_own() {
    let mut chunks = vec![];
    let all = numbered(0..100_000, |number| (format!("{number:07}"), 1));
    apply(&mut chunks, seal(Action::View, &[], &all).unwrap());
    assert_eq!(ask(&chunks, &Filter::default()), Totals { count: 100_000, sum_price: 100_000 });
    for number in [0, 4_711, 65_535, 65_536, 99_999] {
        let filter = Filter { origin: Some(format!("{number:07}")), ..Filter::default() };
        assert_eq!(ask(&chunks, &filter), Totals { count: 1, sum_price: 1 });
        assert_eq!(
            chunks.iter().map(|chunk| chunk.decoded().unwrap().scan(&filter)).sum::<Totals>().count,
            1
        );
    }
}

#[test]
fn rows_that_take_no_bits_are_limited_in_number() {
    let rows = 3 * MAX_CHUNK_ROWS as u32;
    let mut chunks = vec![];
    let all = numbered(0..rows, |_| ("the same".into(), i32::MIN));
    apply(&mut chunks, seal(Action::View, &[], &all).unwrap());
    assert!(chunks.iter().all(|chunk| chunk.totals().count <= MAX_CHUNK_ROWS as u64));
    let wanted = Totals { count: rows.into(), sum_price: i64::from(rows) * i64::from(i32::MIN) };
    assert_eq!(ask(&chunks, &Filter { brand: Some("b".into()), ..Filter::default() }), wanted);
    assert_eq!(ask(&chunks, &Filter { brand: Some(String::new()), ..Filter::default() }), Totals::default());
}
