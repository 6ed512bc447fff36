//! Packs the rows of one minute into a block.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Action, BatchId, OwnIdentity};

use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN};
use crate::wire::{SectionWriter, write_varint};
use crate::{FULL_BLOCK_BYTES, FULL_BLOCK_ROWS, Row, block, names, packed};

/// What a row takes at most beyond its names: six columns of 32 bits would be 24 bytes, and none is so odd.
const HINT_ROW_BYTES: usize = 12;
/// What a batch takes beyond its rows.
const HINT_BATCH_BYTES: usize = 6;
/// What a row's own identity takes.
const HINT_OWN_BYTES: usize = 18;

/// Packs rows of one minute, of both actions and any batches in any order, into a block.
///
/// A batch's rows of the minute all go into the same block: ask [`Self::is_full`] before a batch, not within one.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    names: [Interned; NAME_COLUMNS],
    sources: HashMap<Arc<str>, u32>,
    batches: HashMap<(u32, u64), u32>,
    latest: Option<(BatchId, u32)>,
    rows: Vec<PendingRow>,
    owns: Vec<Option<OwnIdentity>>,
    own_count: usize,
    text_bytes: usize,
}

type Interned = HashMap<Box<str>, u32>;

#[derive(Debug, Clone, Copy)]
struct PendingRow {
    names: [u32; NAME_COLUMNS],
    price: i32,
    batch: u32,
    action: u8,
    device: u8,
}

/// Sources, and batches by source and sequence.
struct Ordered<'a> {
    sources: Vec<&'a str>,
    batches: Vec<PendingBatch>,
    /// Where among `batches` each stands, by its number.
    places: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PendingBatch {
    source: u32,
    sequence: u64,
    number: u32,
}

impl BlockBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of a batch.
    pub fn push(&mut self, batch: &BatchId, action: Action, row: Row<'_>, own: Option<OwnIdentity>) {
        let batch = self.batch(batch);
        let mut names = [0; NAME_COLUMNS];
        for (column, name) in
            [(ORIGIN, row.origin), (BRAND, row.brand), (CATEGORY, row.category), (COUNTRY, row.country)]
        {
            names[column] = self.intern(column, name);
        }
        let (action, device) = (action.code(), row.device.code());
        self.rows.push(PendingRow { names, price: row.price, batch, action, device });
        self.own_count += usize::from(own.is_some());
        self.owns.push(own);
    }

    /// How many rows were added.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// About how many bytes the block will have: more rather than fewer.
    pub fn encoded_bytes_hint(&self) -> usize {
        let (rows, batches) = (self.rows.len() * HINT_ROW_BYTES, self.batches.len() * HINT_BATCH_BYTES);
        64 + self.text_bytes + rows + batches + self.own_count * HINT_OWN_BYTES
    }

    /// Whether the next batch had better go into a new block.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= FULL_BLOCK_ROWS || self.encoded_bytes_hint() >= FULL_BLOCK_BYTES
    }

    /// The block, as stored. The same rows pushed in the same order give the same bytes.
    pub fn finish(self) -> Vec<u8> {
        let ordered = self.ordered();
        let order = self.ordered_rows(&ordered.places);
        let mut whole = SectionWriter::new(block::KIND);
        whole.section(block::HEAD, block::PLAIN, |out| write_varint(out, order.len() as u64));
        whole.section(block::SOURCES, block::LISTED, |out| {
            names::write_listed(out, ordered.sources.iter().copied());
        });
        whole.section(block::BATCHES, block::PLAIN, |out| self.write_batches(out, &ordered.batches));
        for (column, interned) in self.names.iter().enumerate() {
            let list = listed(interned);
            whole.section(block::NAMES[column], block::LISTED, |out| {
                names::write_listed(out, list.iter().copied());
            });
            let codes = order.iter().map(|&row| i64::from(self.rows[row as usize].names[column]));
            whole.section(block::CODES[column], block::PACKED, |out| packed::write(out, codes));
        }
        let devices = order.iter().map(|&row| i64::from(self.rows[row as usize].device));
        whole.section(block::DEVICES, block::PACKED, |out| packed::write(out, devices));
        let prices = order.iter().map(|&row| i64::from(self.rows[row as usize].price));
        whole.section(block::PRICES, block::PACKED, |out| packed::write(out, prices));
        whole.section(block::OWNS, block::PLAIN, |out| self.write_owns(out, &order));
        whole.finish()
    }

    fn batch(&mut self, id: &BatchId) -> u32 {
        if let Some((latest, number)) = &self.latest
            && latest.sequence == id.sequence
            && latest.source == id.source
        {
            return *number;
        }
        let next_source = self.sources.len() as u32;
        let source = *self.sources.entry(Arc::clone(&id.source)).or_insert_with(|| {
            self.text_bytes += id.source.len() + 3;
            next_source
        });
        let next_batch = self.batches.len() as u32;
        let number = *self.batches.entry((source, id.sequence)).or_insert(next_batch);
        self.latest = Some((id.clone(), number));
        number
    }

    #[inline]
    fn intern(&mut self, column: usize, name: &str) -> u32 {
        let interned = &mut self.names[column];
        if let Some(code) = interned.get(name) {
            return *code;
        }
        let code = interned.len() as u32;
        interned.insert(name.into(), code);
        self.text_bytes += name.len() + 3;
        code
    }

    fn ordered(&self) -> Ordered<'_> {
        let mut sources: Vec<(&str, u32)> =
            self.sources.iter().map(|(name, code)| (&**name, *code)).collect();
        sources.sort_unstable();
        let mut source_places = vec![0; sources.len()];
        (0..).zip(&sources).for_each(|(place, (_, code))| source_places[*code as usize] = place);
        let batch = |(&(source, sequence), &number): (&(u32, u64), &u32)| PendingBatch {
            source: source_places[source as usize],
            sequence,
            number,
        };
        let mut batches: Vec<PendingBatch> = self.batches.iter().map(batch).collect();
        batches.sort_unstable();
        let mut places = vec![0; batches.len()];
        (0..).zip(&batches).for_each(|(place, batch)| places[batch.number as usize] = place);
        Ordered { sources: sources.into_iter().map(|(name, _)| name).collect(), batches, places }
    }

    /// The rows by batch, then action, then as they came.
    fn ordered_rows(&self, places: &[u32]) -> Vec<u32> {
        let slot = |row: &PendingRow| {
            places[row.batch as usize] as usize * Action::ALL.len() + usize::from(row.action)
        };
        let mut starts = vec![0_u32; places.len() * Action::ALL.len() + 1];
        self.rows.iter().for_each(|row| starts[slot(row) + 1] += 1);
        (1..starts.len()).for_each(|slot| starts[slot] += starts[slot - 1]);
        let mut order = vec![0; self.rows.len()];
        for (index, row) in (0..).zip(&self.rows) {
            let place = &mut starts[slot(row)];
            order[*place as usize] = index;
            *place += 1;
        }
        order
    }

    /// How many batches each source has; each batch's distance from the one before, and its rows of each action.
    fn write_batches(&self, out: &mut Vec<u8>, batches: &[PendingBatch]) {
        let mut counts = vec![[0_u64; Action::ALL.len()]; batches.len()];
        self.rows.iter().for_each(|row| counts[row.batch as usize][usize::from(row.action)] += 1);
        for batches in batches.chunk_by(|a, b| a.source == b.source) {
            write_varint(out, batches.len() as u64);
            let mut previous = 0;
            for batch in batches {
                write_varint(out, batch.sequence - previous);
                previous = batch.sequence;
                counts[batch.number as usize].iter().for_each(|count| write_varint(out, *count));
            }
        }
    }

    /// Of each row that has one: the distance from the one before, and the identity.
    fn write_owns(&self, out: &mut Vec<u8>, order: &[u32]) {
        let mut next = 0;
        for (place, row) in (0..).zip(order) {
            if let Some(own) = self.owns[*row as usize] {
                write_varint(out, place - next);
                out.extend_from_slice(&own.0);
                next = place + 1;
            }
        }
    }
}

fn listed(interned: &Interned) -> Vec<&str> {
    let mut names = vec![""; interned.len()];
    interned.iter().for_each(|(name, code)| names[*code as usize] = name);
    names
}
