//! Any bytes, under a right checksum: refused, or read and used without a panic and in bounded memory.
//!
//! `cargo +nightly fuzz run decode -- -max_len=4096 -rss_limit_mb=512`
#![no_main]

use columns::{Block, Chunk, Counted, Filter, count, for_each_once, seal};
use libfuzzer_sys::fuzz_target;
use model::Action;

fuzz_target!(|content: &[u8]| {
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
    if let Ok(block) = Block::decode(bytes.clone()) {
        use_block(&block);
    }
    if let Ok(chunk) = Chunk::decode(bytes) {
        use_chunk(chunk);
    }
});

fn use_block(block: &Block) {
    for action in Action::ALL {
        let twice = count(action, &[], [block, block], &Filter::default());
        assert_eq!(twice, count(action, &[], [block], &Filter::default()), "each identity counts once");
        let mut rows = 0;
        for_each_once(action, &[], [block], |_| rows += 1);
        assert_eq!(twice.count, rows);
        if let Ok(sealed) = seal(action, &[], [block]) {
            let chunks: Vec<Chunk> = sealed
                .chunks
                .into_iter()
                .map(|bytes| Chunk::decode(bytes).expect("what seal wrote"))
                .collect();
            let totals = chunks
                .iter()
                .map(Chunk::totals)
                .fold((0, 0), |sum, totals| (sum.0 + totals.count, sum.1 + totals.sum_price));
            assert_eq!(totals, (twice.count, twice.sum_price), "sealing changes no answer");
        }
    }
}

fn use_chunk(chunk: Chunk) {
    let Ok(decoded) = chunk.decoded() else { return };
    let names = |names: Option<&str>| names.map(String::from);
    for filter in [
        Filter { origin: names(decoded.origin().names().next()), ..Filter::default() },
        Filter { brand: names(decoded.brand().names().next()), ..Filter::default() },
        Filter { category: names(decoded.category().names().last()), ..Filter::default() },
    ] {
        count(chunk.action(), &[&chunk as &dyn Counted], [], &filter);
        decoded.scan(&filter);
    }
    (0..decoded.rows()).for_each(|row| _ = decoded.row(row));
}
