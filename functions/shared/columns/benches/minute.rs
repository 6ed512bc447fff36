//! Ten minutes of 60,000 tags each, asked as `clickhouse_bench.py` asks ClickHouse; and what it takes to get there.
//!
//! `cargo bench -p columns`

#[path = "../tests/minute/uniform.rs"]
mod uniform;

use columns::{Block, BlockBuilder, Chunk, Counted, DecodedChunk, Filter, Totals, count, seal};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use model::{Action, BatchId};
use uniform::USUAL;

const MINUTES: u64 = 10;
const FILTERS: [&str; 6] = ["none", "origin", "origin, brand", "brand", "category", "brand, category"];
/// Rows of a block at 60,000 tags a second, and of a batch then.
const BLOCK_ROWS: usize = 3_000;
const BATCH_ROWS: usize = 60;

fn main() {
    divan::main();
}

fn filter(name: &str) -> Filter {
    let given =
        |column: &str, value: &str| name.split(", ").any(|name| name == column).then(|| value.to_owned());
    Filter {
        origin: given("origin", "ORIGIN_17"),
        brand: given("brand", "BRAND_3"),
        category: given("category", "CATEGORY_5"),
    }
}

fn sealed(minute: u64) -> Vec<u8> {
    seal(Action::View, &[], &uniform::blocks(&USUAL, minute)).expect("good blocks").chunks.remove(0)
}

/// From stored bytes: checksum, names, identities, and of the columns what the question needs.
#[divan::bench(args = FILTERS)]
fn ten_minutes_stored(bencher: Bencher<'_, '_>, name: &str) {
    let minutes: Vec<_> = (0..MINUTES).map(|minute| bytes::Bytes::from(sealed(minute))).collect();
    let filter = filter(name);
    let scan = |bytes: &bytes::Bytes| Chunk::decode(bytes.clone()).expect("a good chunk").scan(&filter);
    bencher.bench_local(|| minutes.iter().map(scan).sum::<Totals>());
}

#[divan::bench(args = FILTERS)]
fn ten_minutes_decoded(bencher: Bencher<'_, '_>, name: &str) {
    let decode =
        |minute| Chunk::decode(sealed(minute)).and_then(|chunk| chunk.decoded()).expect("a good chunk");
    let minutes: Vec<DecodedChunk> = (0..MINUTES).map(decode).collect();
    let filter = filter(name);
    bencher.bench_local(|| minutes.iter().map(|chunk| chunk.scan(black_box(&filter))).sum::<Totals>());
}

#[divan::bench]
fn decode_ten_minutes(bencher: Bencher<'_, '_>) {
    let minutes: Vec<_> = (0..MINUTES).map(|minute| bytes::Bytes::from(sealed(minute))).collect();
    let decode = |bytes: &bytes::Bytes| Chunk::decode(bytes.clone()).and_then(|chunk| chunk.decoded());
    bencher.bench_local(|| minutes.iter().map(decode).collect::<Vec<_>>());
}

/// A minute of which the last 10 s are in blocks of 50 ms yet.
#[divan::bench(args = ["none", "origin"])]
fn a_minute_with_blocks(bencher: Bencher<'_, '_>, name: &str) {
    let encoded = uniform::encoded_blocks(&uniform::Minute { blocks: 1_200, ..USUAL }, 0);
    let (early, late) = encoded.split_at(1_000);
    let read = |bytes: &Vec<u8>| Block::decode(bytes.clone()).expect("a good block");
    let chunk = seal(Action::View, &[], &early.iter().map(read).collect::<Vec<_>>())
        .expect("good blocks")
        .chunks
        .remove(0);
    let chunk = Chunk::decode(chunk).expect("a good chunk");
    let filter = filter(name);
    bencher.bench_local(|| {
        let blocks: Vec<Block> = late.iter().map(read).collect();
        count(Action::View, &[&chunk as &dyn Counted], &blocks, &filter)
    });
}

/// The time divided by the items is the time of a row.
#[divan::bench]
fn encode_a_block(bencher: Bencher<'_, '_>) {
    let tags = uniform::tags(&USUAL, 1);
    let batches: Vec<BatchId> = (0..)
        .map(|sequence| BatchId { source: "/user-tags/a".into(), sequence })
        .take(BLOCK_ROWS / BATCH_ROWS)
        .collect();
    bencher.counter(ItemsCount::new(BLOCK_ROWS)).bench_local(|| {
        let mut block = BlockBuilder::new();
        for (tags, batch) in tags.chunks(BATCH_ROWS).zip(&batches) {
            tags.iter().for_each(|tag| block.push(batch, tag.action, tag.row(), tag.own));
        }
        block.finish()
    });
}

#[divan::bench]
fn seal_a_minute(bencher: Bencher<'_, '_>) {
    let blocks = uniform::blocks(&USUAL, 1);
    bencher.counter(ItemsCount::new(USUAL.tags)).bench_local(|| {
        Action::ALL.map(|action| seal(action, &[], black_box(&blocks)).expect("good blocks"))
    });
}

/// A tenth more, joined with what is sealed: what a tick costs.
#[divan::bench]
fn seal_a_tenth_more(bencher: Bencher<'_, '_>) {
    let blocks = uniform::blocks(&USUAL, 1);
    let (early, late) = blocks.split_at(blocks.len() / 10 * 9);
    let chunk = seal(Action::View, &[], early).expect("good blocks").chunks.remove(0);
    let chunks = [Chunk::decode(chunk).expect("a good chunk")];
    bencher.bench_local(|| seal(Action::View, &chunks, black_box(late)).expect("good blocks"));
}
