//! How many bytes a tag takes once sealed, all that an exact answer needs included.

use crate::uniform::{Minute, USUAL, blocks, encoded_blocks};
use columns::{Chunk, seal};
use model::Action;

/// The bytes of both actions' chunks, sealed in the stages of a minute, over its tags.
fn bytes_a_tag(minute: &Minute) -> f64 {
    let blocks = blocks(minute, 7);
    let sealed = Action::ALL.map(|action| {
        let mut chunks: Vec<Chunk> = vec![];
        for stage in blocks.chunks(blocks.len().div_ceil(7)) {
            let sealed = seal(action, &chunks, stage).unwrap();
            sealed.replaced.iter().rev().for_each(|place| _ = chunks.remove(*place));
            chunks.extend(sealed.chunks.into_iter().map(|bytes| Chunk::decode(bytes).unwrap()));
        }
        assert!(minute.own || chunks.len() == 1, "one chunk of each action");
        chunks.iter().map(Chunk::encoded_bytes).sum::<usize>()
    });
    let bytes = sealed.iter().sum::<usize>() as f64 / minute.tags as f64;
    println!("{} tags, batches to {}: {bytes:.3} bytes a tag", minute.tags, minute.most_in_batch);
    bytes
}

#[test]
fn the_contracts_columns_take_4_bytes_a_tag() {
    for most_in_batch in [5, 30, 60] {
        assert!(bytes_a_tag(&Minute { most_in_batch, countries: 1, devices: 1, ..USUAL }) <= 4.0);
    }
}

#[test]
fn country_and_device_take_1_byte_more() {
    for most_in_batch in [5, 60] {
        assert!(bytes_a_tag(&Minute { most_in_batch, ..USUAL }) <= 5.0);
    }
}

#[test]
fn own_identities_take_16_bytes_more() {
    let own = Minute { own: true, ..USUAL };
    assert!(bytes_a_tag(&own) <= bytes_a_tag(&USUAL) + 16.0);
}

#[test]
fn blocks_take_no_more_than_the_hint() {
    let bytes: usize = encoded_blocks(&USUAL, 7).iter().map(Vec::len).sum();
    println!("blocks: {:.3} bytes a tag", bytes as f64 / USUAL.tags as f64);
    assert!(bytes < 25 * USUAL.tags);
}
