//! Where each record lies: its set, and the bytes of its key.
//!
//! Aerospike finds a record by a RIPEMD-160 of set, type and key, so keys may be long and nobody can make two that collide.

use aerospike::{Key, Value};
use model::{Action, BucketStart, Cookie, Instant};
use store::{BlockKey, ChunkKey, Token};

const WORD_BYTES: usize = 8;
const TOKEN_BYTES: usize = 16;
const PIECE_BYTES: usize = 4;
/// The bytes of a block's key.
pub(crate) const BLOCK_KEY_BYTES: usize = 2 * WORD_BYTES;
/// The bytes of a chunk's key.
pub(crate) const CHUNK_KEY_BYTES: usize = TOKEN_BYTES + PIECE_BYTES + 1;
/// The bytes of an entry's key in a profile's map.
pub(crate) const ENTRY_KEY_BYTES: usize = 2 * WORD_BYTES;

/// A set of records; its name is the constant's, behind the prefix of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    Profiles,
    Values,
    Minutes,
    Blocks,
    Chunks,
    Graves,
    Calendar,
    Floor,
}

impl Set {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Profiles,
        Self::Values,
        Self::Minutes,
        Self::Blocks,
        Self::Chunks,
        Self::Graves,
        Self::Calendar,
        Self::Floor,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Values => "values",
            Self::Minutes => "minutes",
            Self::Blocks => "blocks",
            Self::Chunks => "chunks",
            Self::Graves => "graves",
            Self::Calendar => "calendar",
            Self::Floor => "floor",
        }
    }
}

/// The namespace, and what its sets are called.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) namespace: String,
    prefix: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str, prefix: &str) -> Self {
        Self { namespace: namespace.into(), prefix: prefix.into() }
    }

    pub(crate) fn set_name(&self, set: Set) -> String {
        format!("{}{}", self.prefix, set.name())
    }

    pub(crate) fn key(&self, set: Set, bytes: impl Into<Vec<u8>>) -> Key {
        Key::new(self.namespace.clone(), self.set_name(set), Value::Blob(bytes.into()))
            .expect("bytes are a key")
    }

    pub(crate) fn profile(&self, cookie: &Cookie, action: Action) -> Key {
        self.key(Set::Profiles, profile_bytes(cookie, action))
    }

    pub(crate) fn head(&self, bucket: BucketStart) -> Key {
        self.key(Set::Minutes, bucket.to_ordered_bytes())
    }

    pub(crate) fn grave(&self, token: Token) -> Key {
        self.key(Set::Graves, token.0.to_be_bytes())
    }
}

/// The action's byte first: it is always one byte, so no two pairs have the same bytes.
pub(crate) fn profile_bytes(cookie: &Cookie, action: Action) -> Vec<u8> {
    [&[action_byte(action)], cookie.0.as_bytes()].concat()
}

/// Sorts as entries do from the oldest to the newest; of one millisecond the smallest identity is the newest.
pub(crate) fn entry_key(instant: Instant, identity: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..WORD_BYTES].copy_from_slice(&instant.to_ordered_bytes());
    key[WORD_BYTES..].copy_from_slice(&(!identity).to_be_bytes());
    key
}

/// The instant of an entry's key.
pub(crate) fn entry_instant(key: &[u8]) -> Option<Instant> {
    let key: &[u8; ENTRY_KEY_BYTES] = key.try_into().ok()?;
    key.first_chunk().map(|time| Instant::from_ordered_bytes(*time))
}

/// The bucket of a head's key.
pub(crate) fn bucket_of(bytes: &[u8]) -> Option<BucketStart> {
    bytes.try_into().ok().map(BucketStart::from_ordered_bytes)
}

pub(crate) fn token_of(bytes: &[u8]) -> Option<Token> {
    bytes.try_into().ok().map(|bytes| Token(u128::from_be_bytes(bytes)))
}

pub(crate) fn block_bytes(key: BlockKey) -> Vec<u8> {
    [key.writer.to_be_bytes(), key.counter.to_be_bytes()].concat()
}

pub(crate) fn block_of(bytes: &[u8]) -> Option<BlockKey> {
    let (writer, counter) = bytes.split_first_chunk()?;
    let counter = counter.try_into().ok()?;
    Some(BlockKey { writer: u64::from_be_bytes(*writer), counter: u64::from_be_bytes(counter) })
}

pub(crate) fn chunk_bytes(key: ChunkKey) -> Vec<u8> {
    [&key.token.0.to_be_bytes()[..], &key.piece.to_be_bytes(), &[action_byte(key.action)]].concat()
}

pub(crate) fn chunk_of(bytes: &[u8]) -> Option<ChunkKey> {
    let (token, rest) = bytes.split_first_chunk()?;
    let (piece, rest) = rest.split_first_chunk()?;
    let &[action] = rest else { return None };
    Some(ChunkKey {
        token: Token(u128::from_be_bytes(*token)),
        piece: u32::from_be_bytes(*piece),
        action: action_of(action)?,
    })
}

const fn action_byte(action: Action) -> u8 {
    match action {
        Action::View => 0,
        Action::Buy => 1,
    }
}

const fn action_of(byte: u8) -> Option<Action> {
    match byte {
        0 => Some(Action::View),
        1 => Some(Action::Buy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_come_back(writer: u64, counter: u64, token: u128, piece: u32, buy: bool) {
            let block = BlockKey { writer, counter };
            prop_assert_eq!(block_of(&block_bytes(block)), Some(block));
            let chunk = ChunkKey { token: Token(token), piece, action: Action::ALL[usize::from(buy)] };
            let bytes = chunk_bytes(chunk);
            prop_assert_eq!(bytes.len(), CHUNK_KEY_BYTES);
            prop_assert_eq!(chunk_of(&bytes), Some(chunk));
            prop_assert_eq!(chunk_of(&bytes[1..]), None);
        }

        #[test]
        fn entries_sort_by_time_and_then_against_their_identity(a: (i64, u64), b: (i64, u64)) {
            let key = |(ms, identity)| entry_key(Instant::from_ms(ms), identity);
            let order = a.0.cmp(&b.0).then(b.1.cmp(&a.1));
            prop_assert_eq!(key(a).cmp(&key(b)), order);
            prop_assert_eq!(entry_instant(&key(a)), Some(Instant::from_ms(a.0)));
        }
    }
}
