//! Blocks and chunks: the columnar minute, the kernel of the product.
//!
//! * A [`Block`] is what a worker packs from the deliveries of some 50 ms for one minute ([`BlockBuilder`]): rows of both
//!   actions, grouped by the batch they came in. Quick to write.
//! * A [`Chunk`] is what the sealer makes of them ([`seal`]): rows of one action, sorted, a few bytes each, and the
//!   identities that were counted. Quick to ask ([`Chunk::scan`]), quicker when decoded before ([`DecodedChunk`]).
//! * **The rule** ([`for_each_once`]), by which [`count`] and [`seal`] both go: over all chunks and blocks of a minute
//!   each identity counts once. A row with an identity of its own counts under that one, any other under its batch's. The
//!   same block or batch may come any number of times and in any order.
//! * Questions beyond the contract's, over many minutes, go by the same rule through [`Grouping`].
//!
//! Bytes in, bytes out: nothing here reads, writes, waits or knows the time. Stored bytes come from outside: whatever is
//! in them, decoding never panics and takes memory in proportion to their length. Where to look next: `wire` for what is
//! around the columns, `keys` and `packed` for the columns, `rule` for the rule.

mod bits;
mod block;
mod builder;
mod cells;
mod chunk;
mod cut;
mod decoded;
mod divisor;
mod filter;
mod grouping;
mod identities;
mod keys;
mod lexicon;
mod names;
mod packed;
mod piece;
mod row;
mod rule;
mod scan;
mod seal;
mod wire;

use thiserror::Error as ThisError;

pub use block::Block;
pub use builder::BlockBuilder;
pub use chunk::Chunk;
pub use cut::{Column, Condition, Cut, MAX_GROUPED, Measures};
pub use decoded::{Codes, DecodedChunk, NameColumn};
pub use filter::{Filter, Totals};
pub use grouping::{Group, Grouping, GroupingError, GroupingLimits, Groups};
pub use identities::Identities;
pub use row::Row;
pub use rule::{Counted, count, for_each_once};
pub use seal::{Sealed, seal};

/// The most bytes of a chunk: the store writes and reads a record as one, and holds at most 1 MiB in it.
pub const MAX_CHUNK_BYTES: usize = 512 * 1024;
/// The most rows of a chunk: keeps a sorted key below 2^54, and bounds what a chunk of a few bytes may be decoded to.
pub const MAX_CHUNK_ROWS: usize = 1 << 18;
/// The most text in a chunk's list of names, once decoded: names that begin alike are stored in a few bytes each.
pub const MAX_DICTIONARY_BYTES: usize = 4 * 1024 * 1024;
/// From this many rows or hinted bytes on a block is full ([`BlockBuilder::is_full`]): with one more batch of the most
/// usual kind it is still within a record of the store.
pub const FULL_BLOCK_ROWS: usize = 1 << 16;
/// See [`FULL_BLOCK_ROWS`].
pub const FULL_BLOCK_BYTES: usize = 512 * 1024;
/// The most rows of a block: a full one and several batches of the most tags there may be.
pub const MAX_BLOCK_ROWS: usize = 1 << 20;

/// Why stored bytes are neither a block nor a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum Error {
    /// Written by a newer release, in the format of this version: a newer reader can tell.
    #[error("format version {0} is newer than this release")]
    Newer(u8),
    /// They are not what was written, or were never right.
    #[error("damaged: {0}")]
    Damaged(&'static str),
}
