//! What each minute holds, in memory: the keys of its blocks and chunks, and the token of its sealing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{Action, BucketStart};
use store::{BlockKey, ChunkKey, Head, Swap, Token};

const BUCKET_BYTES: usize = 8;
const BLOCK: u8 = 0;
const CHUNK: u8 = 1;

/// The heads of all minutes.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    pub(crate) floor: Option<BucketStart>,
    minutes: BTreeMap<BucketStart, Minute>,
    tokens: HashMap<BucketStart, Token>,
}

#[derive(Debug, Default)]
struct Minute {
    blocks: BTreeSet<BlockKey>,
    chunks: BTreeSet<ChunkKey>,
}

/// A key that a head names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Block(BlockKey),
    Chunk(ChunkKey),
}

impl Heads {
    pub(crate) fn head(&self, bucket: BucketStart) -> Head {
        self.minutes.get(&bucket).map_or_else(Head::default, |minute| Head {
            blocks: minute.blocks.iter().copied().collect(),
            chunks: minute.chunks.iter().copied().collect(),
        })
    }

    pub(crate) fn calendar(&self) -> Vec<(BucketStart, usize)> {
        self.minutes.iter().map(|(&bucket, minute)| (bucket, minute.blocks.len())).collect()
    }

    pub(crate) fn is_kept(&self, bucket: BucketStart) -> bool {
        self.floor.is_none_or(|floor| bucket >= floor)
    }

    pub(crate) fn add(&mut self, bucket: BucketStart, named: Named) {
        let minute = self.minutes.entry(bucket).or_default();
        match named {
            Named::Block(key) => minute.blocks.insert(key),
            Named::Chunk(key) => minute.chunks.insert(key),
        };
    }

    fn remove(&mut self, bucket: BucketStart, named: Named) {
        let Some(minute) = self.minutes.get_mut(&bucket) else { return };
        match named {
            Named::Block(key) => minute.blocks.remove(&key),
            Named::Chunk(key) => minute.chunks.remove(&key),
        };
        if minute.blocks.is_empty() && minute.chunks.is_empty() {
            self.minutes.remove(&bucket);
        }
    }

    /// Begins a sealing; one of a minute below the floor can never finish.
    pub(crate) fn set_token(&mut self, bucket: BucketStart, token: Token) {
        if self.is_kept(bucket) {
            self.tokens.insert(bucket, token);
        }
    }

    pub(crate) fn has_token(&self, bucket: BucketStart, token: Token) -> bool {
        self.tokens.get(&bucket) == Some(&token)
    }

    /// What of a minute leaves its head by this swap.
    pub(crate) fn leaving(&self, swap: &Swap) -> Vec<Named> {
        let Some(minute) = self.minutes.get(&swap.bucket) else { return Vec::new() };
        let blocks =
            swap.merged.iter().filter(|key| minute.blocks.contains(key)).map(|&key| Named::Block(key));
        let chunks =
            swap.replaced.iter().filter(|key| minute.chunks.contains(key)).map(|&key| Named::Chunk(key));
        blocks.chain(chunks).collect()
    }

    /// Ends a sealing, in one step for whoever looks.
    pub(crate) fn swap(&mut self, bucket: BucketStart, leaving: &[Named], entering: &[Named]) {
        self.tokens.remove(&bucket);
        entering.iter().for_each(|&named| self.add(bucket, named));
        leaving.iter().for_each(|&named| self.remove(bucket, named));
    }

    /// Raises the floor, and takes out what lies below.
    pub(crate) fn raise(&mut self, floor: BucketStart) -> Vec<(BucketStart, Named)> {
        self.floor = Some(floor);
        self.tokens.retain(|&bucket, _| bucket >= floor);
        let kept = self.minutes.split_off(&floor);
        let gone = std::mem::replace(&mut self.minutes, kept);
        gone.into_iter()
            .flat_map(|(bucket, minute)| minute.named().map(move |named| (bucket, named)))
            .collect()
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = Named> + '_ {
        self.minutes.values().flat_map(|minute| {
            let blocks = minute.blocks.iter().map(|&key| Named::Block(key));
            blocks.chain(minute.chunks.iter().map(|&key| Named::Chunk(key)))
        })
    }
}

impl Minute {
    fn named(self) -> impl Iterator<Item = Named> {
        self.blocks.into_iter().map(Named::Block).chain(self.chunks.into_iter().map(Named::Chunk))
    }
}

impl Named {
    /// The key of the record itself.
    pub(crate) fn record_key(self) -> Vec<u8> {
        match self {
            Self::Block(key) => [key.writer.to_be_bytes(), key.counter.to_be_bytes()].concat(),
            Self::Chunk(key) => {
                let mut bytes = key.token.0.to_be_bytes().to_vec();
                bytes.extend_from_slice(&key.piece.to_be_bytes());
                bytes.push(key.action.code());
                bytes
            }
        }
    }

    /// The key of the note that this minute's head names it.
    pub(crate) fn head_key(self, bucket: BucketStart) -> Vec<u8> {
        let mut bytes = bucket.to_ordered_bytes().to_vec();
        bytes.push(match self {
            Self::Block(_) => BLOCK,
            Self::Chunk(_) => CHUNK,
        });
        bytes.extend_from_slice(&self.record_key());
        bytes
    }

    /// What the note of that key says.
    pub(crate) fn from_head_key(key: &[u8]) -> Option<(BucketStart, Self)> {
        let (&bucket, rest) = key.split_first_chunk::<BUCKET_BYTES>()?;
        let (&kind, record) = rest.split_first()?;
        let named = match kind {
            BLOCK => {
                let (&writer, counter) = record.split_first_chunk()?;
                let counter = u64::from_be_bytes(counter.try_into().ok()?);
                Self::Block(BlockKey { writer: u64::from_be_bytes(writer), counter })
            }
            CHUNK => {
                let (&token, rest) = record.split_first_chunk()?;
                let (&piece, action) = rest.split_first_chunk()?;
                let &[action] = action else { return None };
                Self::Chunk(ChunkKey {
                    token: Token(u128::from_be_bytes(token)),
                    piece: u32::from_be_bytes(piece),
                    action: Action::from_code(action)?,
                })
            }
            _ => return None,
        };
        Some((BucketStart::from_ordered_bytes(bucket), named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_what_was_noted() {
        let block = Named::Block(BlockKey { writer: 7, counter: u64::MAX });
        let chunk = Named::Chunk(ChunkKey { token: Token(1 << 100), piece: 3, action: Action::Buy });
        for minutes in [i64::MIN, -1, 0, 27_000_000] {
            let bucket = BucketStart::from_minutes(minutes);
            for named in [block, chunk] {
                let key = named.head_key(bucket);
                assert_eq!(Named::from_head_key(&key), Some((bucket, named)));
                assert_eq!(Named::from_head_key(&key[..key.len() - 1]), None);
            }
        }
    }

    #[test]
    fn takes_out_what_lies_below_the_floor() {
        let mut heads = Heads::default();
        let named = |counter| Named::Block(BlockKey { writer: 1, counter });
        let minute = BucketStart::from_minutes;
        for minutes in 0..10 {
            heads.add(minute(minutes), named(minutes.unsigned_abs()));
        }
        let gone = heads.raise(minute(4));
        assert_eq!(gone, (0..4).map(|m| (minute(m), named(m.unsigned_abs()))).collect::<Vec<_>>());
        assert_eq!(heads.calendar().len(), 6);
        assert!(!heads.is_kept(minute(3)) && heads.is_kept(minute(4)));
    }
}
