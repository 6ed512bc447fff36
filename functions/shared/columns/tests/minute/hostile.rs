//! Bytes that are not what was written: refused, or read as something; never a panic, never much memory.

use crate::uniform::{self, Minute, USUAL};
use columns::{Block, Chunk, Counted, Error, Filter, count, for_each_once, seal};
use model::Action;
use proptest::prelude::*;

const SMALL: Minute = Minute { tags: 40, most_in_batch: 6, countries: 3, devices: 3, own: false, blocks: 1 };

fn block() -> Vec<u8> {
    uniform::encoded_blocks(&SMALL, 1).remove(0)
}

fn chunk(minute: &Minute) -> Vec<u8> {
    seal(Action::View, &[], &uniform::blocks(minute, 2)).unwrap().chunks.remove(0)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Everything that can be done with bytes that decode.
fn use_all(bytes: &[u8]) {
    let filters =
        [(None, None, None), (Some("ORIGIN_1"), None, None), (None, Some("BRAND_1"), Some("CATEGORY_2"))]
            .map(|(origin, brand, category)| {
                [origin, brand, category].map(|name: Option<&str>| name.map(String::from))
            })
            .map(|[origin, brand, category]| Filter { origin, brand, category });
    if let Ok(block) = Block::decode(bytes.to_vec()) {
        for action in Action::ALL {
            filters.iter().for_each(|filter| _ = count(action, &[], [&block], filter));
            for_each_once(action, &[], [&block], |_| ());
            _ = seal(action, &[], [&block]);
        }
    }
    if let Ok(chunk) = Chunk::decode(bytes.to_vec()) {
        let decoded = chunk.decoded();
        for filter in &filters {
            _ = count(chunk.action(), &[&chunk as &dyn Counted], [], filter);
            _ = decoded.as_ref().map(|decoded| decoded.scan(filter));
        }
        _ = decoded.map(|decoded| (0..decoded.rows()).for_each(|row| _ = decoded.row(row)));
        let blocks = uniform::blocks(&SMALL, 5);
        _ = seal(chunk.action(), &[chunk], &blocks);
    }
}

#[test]
fn every_flipped_bit_and_every_missing_end_is_seen() {
    let own = chunk(&Minute { own: true, ..SMALL });
    for whole in [block(), chunk(&SMALL), own] {
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::decode(flipped.clone()).is_err() && Chunk::decode(flipped).is_err());
        }
        for length in 0..whole.len() {
            let part = whole[..length].to_vec();
            assert!(Block::decode(part.clone()).is_err() && Chunk::decode(part).is_err());
        }
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    for mut whole in [block(), chunk(&SMALL)] {
        whole.truncate(whole.len() - 4);
        whole[0] = 9;
        let newer = with_checksum(whole);
        assert_eq!(Block::decode(newer.clone()).err(), Some(Error::Newer(9)));
        assert_eq!(Chunk::decode(newer).err(), Some(Error::Newer(9)));
    }
}

#[test]
fn one_is_not_taken_for_the_other() {
    assert!(matches!(Block::decode(chunk(&SMALL)), Err(Error::Damaged(_))));
    assert!(matches!(Chunk::decode(block()), Err(Error::Damaged(_))));
}

#[test]
fn a_column_of_a_newer_release_is_stepped_over_and_not_lost() {
    let extended = |mut whole: Vec<u8>| {
        whole.truncate(whole.len() - 4);
        whole[2] += 1;
        whole.splice(3..3, [60, 1, 0]);
        with_checksum(whole)
    };
    let blocks = uniform::blocks(&SMALL, 3);
    let known = Chunk::decode(chunk(&SMALL)).unwrap();
    let newer = Chunk::decode(extended(chunk(&SMALL))).unwrap();
    assert_eq!(newer.totals(), known.totals());
    assert_eq!(seal(Action::View, &[newer, known], &blocks[..1]).unwrap().replaced, [1]);
    let block = Block::decode(extended(block())).unwrap();
    assert_eq!(seal(Action::View, &[], [&block]), Err(Error::Newer(2)));
}

#[test]
fn a_few_bytes_do_not_become_many() {
    let lines = chunk(&Minute { own: true, ..USUAL });
    let (bytes, chunk) = (lines.len(), Chunk::decode(lines).unwrap());
    assert!(chunk.weight_bytes() < 3 * bytes);
    assert!(chunk.decoded().unwrap().weight_bytes() < 3 * bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn wrong_content_under_a_right_checksum_does_no_harm(
        which in 0..3, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = match which {
            0 => block(),
            1 => chunk(&SMALL),
            _ => chunk(&Minute { own: true, ..SMALL }),
        };
        bytes.truncate(bytes.len() - 4);
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        use_all(&with_checksum(bytes));
    }
}
