//! Sealing: rows of blocks join a minute's chunks.

use std::collections::{BTreeMap, HashMap};

use model::{Action, OwnIdentity};

use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN};
use crate::identities::Sequences;
use crate::piece::{Content, SortedRow};
use crate::rule::Once;
use crate::{Block, Chunk, DecodedChunk, Error, Identities, MAX_CHUNK_BYTES, MAX_CHUNK_ROWS};

/// What sealing changes in a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the given chunks are replaced, by their places; the others stay.
    pub replaced: Vec<usize>,
    /// The chunks that join, as stored.
    pub chunks: Vec<Vec<u8>>,
}

/// Seals an action of a minute: what to change so that its chunks alone give the answers that `chunks` and `blocks` give
/// together. All of the minute's chunks must be given; those of the other action are left alone.
///
/// A chunk at least half full is left as it is, so that a minute of any size costs what is new in it. Nothing changes where
/// the blocks have nothing new. The same chunks and blocks give the same bytes, in whatever order and how often blocks come.
///
/// [`Error::Newer`]: a block has columns that only a newer release can seal. Chunks with such columns are left alone.
pub fn seal<'a>(
    action: Action,
    chunks: &[Chunk],
    blocks: impl IntoIterator<Item = &'a Block>,
) -> Result<Sealed, Error> {
    let mut once =
        Once::new(action, chunks.iter().filter(|chunk| chunk.action == action).map(Chunk::identities));
    let mut rows = Gathered::default();
    for block in blocks {
        if block.has_unknown() {
            return Err(Error::Newer(crate::wire::VERSION + 1));
        }
        rows.add_block(block, &mut once);
    }
    if rows.rows.is_empty() {
        return Ok(Sealed::default());
    }
    let (batches, owns) = once.into_fresh();
    let replaced: Vec<usize> =
        (0..chunks.len()).filter(|place| is_replaced(&chunks[*place], action)).collect();
    let small: Vec<DecodedChunk> =
        replaced.iter().map(|place| chunks[*place].decoded()).collect::<Result<_, _>>()?;
    small.iter().for_each(|chunk| rows.add_chunk(chunk));
    let (batches, owns) = join_identities(batches, owns, small.iter().map(DecodedChunk::identities));
    let (names, rows) = rows.sorted();
    Ok(Sealed { replaced, chunks: Content { action, names, rows, batches, owns }.pieces() })
}

/// Small chunks are written anew with what is new, so that a minute has few.
fn is_replaced(chunk: &Chunk, action: Action) -> bool {
    let full = chunk.encoded_bytes() >= MAX_CHUNK_BYTES / 2 || chunk.rows >= MAX_CHUNK_ROWS / 2;
    chunk.action == action && !full && !chunk.has_unknown()
}

/// Rows from several blocks and chunks under common codes, in the order in which names came.
#[derive(Default)]
struct Gathered<'a> {
    names: [HashMap<&'a str, u32>; NAME_COLUMNS],
    rows: Vec<SortedRow>,
}

impl<'a> Gathered<'a> {
    fn add_block(&mut self, block: &'a Block, once: &mut Once<'a>) {
        let codes: [Vec<u32>; NAME_COLUMNS] =
            std::array::from_fn(|column| self.codes(column, block.names(column).iter()));
        let code = |column: usize, row| codes[column][block.code(column, row)];
        once.visit(block, |row| {
            self.rows.push(SortedRow {
                codes: [code(ORIGIN, row), code(BRAND, row), code(CATEGORY, row)],
                price: block.price(row),
                country: code(COUNTRY, row),
                device: block.device(row).code(),
            });
        });
    }

    fn add_chunk(&mut self, chunk: &'a DecodedChunk) {
        let columns = [chunk.origin(), chunk.brand(), chunk.category(), chunk.country()];
        let codes: [Vec<u32>; NAME_COLUMNS] =
            std::array::from_fn(|column| self.codes(column, columns[column].names()));
        let code = |column: usize, row| codes[column][columns[column].codes().at(row)];
        self.rows.extend((0..chunk.rows()).map(|row| SortedRow {
            codes: [code(ORIGIN, row), code(BRAND, row), code(CATEGORY, row)],
            price: chunk.prices()[row],
            country: code(COUNTRY, row),
            device: chunk.devices()[row].code(),
        }));
    }

    fn codes(&mut self, column: usize, names: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let all = &mut self.names[column];
        let mut code = |name| {
            let next = all.len() as u32;
            *all.entry(name).or_insert(next)
        };
        names.map(&mut code).collect()
    }

    /// Names sorted, and rows sorted under their places there.
    fn sorted(mut self) -> ([Vec<&'a str>; NAME_COLUMNS], Vec<SortedRow>) {
        let mut places: [Vec<u32>; NAME_COLUMNS] = Default::default();
        let names = std::array::from_fn(|column| {
            let mut names: Vec<(&str, u32)> = self.names[column].drain().collect();
            names.sort_unstable();
            places[column] = vec![0; names.len()];
            (0..).zip(&names).for_each(|(place, (_, code))| places[column][*code as usize] = place);
            names.into_iter().map(|(name, _)| name).collect()
        });
        for row in &mut self.rows {
            (0..)
                .zip(&mut row.codes)
                .for_each(|(column, code): (usize, _)| *code = places[column][*code as usize]);
            row.country = places[COUNTRY][row.country as usize];
        }
        self.rows.sort_unstable();
        (names, self.rows)
    }
}

type Ranges<'a> = Vec<(&'a str, u64, u64)>;

/// What is new and what the replaced chunks have counted, sorted.
fn join_identities<'a>(
    batches: BTreeMap<&'a str, Vec<u64>>,
    mut owns: Vec<OwnIdentity>,
    replaced: impl Iterator<Item = &'a Identities>,
) -> (Ranges<'a>, Vec<OwnIdentity>) {
    let mut ranges: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for (source, sequences) in batches {
        ranges.entry(source).or_default().extend(sequences.into_iter().map(|sequence| (sequence, sequence)));
    }
    for identities in replaced {
        owns.extend_from_slice(&identities.owns);
        for (source, sequences) in &identities.batches {
            ranges.entry(source).or_default().extend_from_slice(sequences.ranges());
        }
    }
    owns.sort_unstable();
    owns.dedup();
    let joined = ranges.into_iter().flat_map(|(source, ranges)| {
        let joined = Sequences::of(ranges);
        joined.ranges().iter().map(|&(first, last)| (source, first, last)).collect::<Vec<_>>()
    });
    (joined.collect(), owns)
}
