//! Writes chunks: sorted rows and identities, cut into pieces of the size that a store likes.

use model::{Action, OwnIdentity};

use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN};
use crate::identities::{write_batches, write_owns};
use crate::wire::{SectionWriter, write_signed, write_varint};
use crate::{MAX_CHUNK_BYTES, MAX_CHUNK_ROWS, MAX_DICTIONARY_BYTES, chunk, keys, names, packed};

/// The next piece is tried with as many rows as would fill this part (in percent) of [`MAX_CHUNK_BYTES`].
const WANTED_PERCENT: usize = 95;
/// How many rows are tried first: what fills a piece with names and prices of the usual spread.
const FIRST_ROWS: usize = 110_000;

/// All rows of the pieces to be written, and the identities counted in them.
pub(crate) struct Content<'a> {
    pub(crate) action: Action,
    /// The names of each column, sorted.
    pub(crate) names: [Vec<&'a str>; NAME_COLUMNS],
    /// Sorted. Codes are places in `names`.
    pub(crate) rows: Vec<SortedRow>,
    /// Ranges (source, first, last), sorted and apart.
    pub(crate) batches: Vec<(&'a str, u64, u64)>,
    /// Sorted, each once.
    pub(crate) owns: Vec<OwnIdentity>,
}

/// A row by codes, in the order of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortedRow {
    /// Origin, brand, category.
    pub(crate) codes: [u32; 3],
    pub(crate) price: i32,
    pub(crate) country: u32,
    pub(crate) device: u8,
}

impl SortedRow {
    fn code(&self, column: usize) -> u32 {
        if column == COUNTRY { self.country } else { self.codes[column] }
    }
}

impl Content<'_> {
    /// The chunks, each within the limits (but for a single row, which may have names of any length).
    pub(crate) fn pieces(&self) -> Vec<Vec<u8>> {
        let mut pieces = vec![];
        let mut start = 0;
        let mut length = FIRST_ROWS;
        while start < self.rows.len() {
            length = length.clamp(1, MAX_CHUNK_ROWS.min(self.rows.len() - start));
            let (bytes, fits) = self.encode(start, length);
            let wanted = length * MAX_CHUNK_BYTES / 100 * WANTED_PERCENT / bytes.len();
            if fits || length == 1 {
                pieces.push(bytes);
                start += length;
                length = wanted;
            } else {
                length = wanted.min(length / 2 + length / 4);
            }
        }
        pieces
    }

    /// A piece, and whether it is within the limits.
    fn encode(&self, start: usize, length: usize) -> (Vec<u8>, bool) {
        let rows = &self.rows[start..start + length];
        let columns: [Column<'_>; NAME_COLUMNS] = std::array::from_fn(|column| self.column(rows, column));
        let mut whole = SectionWriter::new(chunk::KIND);
        whole.section(chunk::HEAD, chunk::PLAIN, |out| {
            out.push(self.action.code());
            write_varint(out, rows.len() as u64);
            write_signed(out, rows.iter().map(|row| i64::from(row.price)).sum());
        });
        let batches = share(&self.batches, start, length, self.rows.len());
        whole.section(chunk::BATCHES, chunk::SHORT, |out| write_batches(out, batches));
        let owns = share(&self.owns, start, length, self.rows.len());
        whole.section(chunk::OWNS, chunk::SORTED, |out| write_owns(out, owns));
        for (column, id) in columns.iter().zip(chunk::NAMES) {
            let names = column.names.iter().copied();
            whole.section(id, chunk::FRONT_CODED, |out| names::write_sorted(out, names));
        }
        whole.section(chunk::SORTED_KEYS, chunk::SORTED, |out| keys::write(out, &keys_of(rows, &columns)));
        let countries = rows.iter().map(|row| i64::from(columns[COUNTRY].places[row.country as usize]));
        whole.section(chunk::COUNTRIES, chunk::PACKED, |out| packed::write(out, countries));
        let devices = rows.iter().map(|row| i64::from(row.device));
        whole.section(chunk::DEVICES, chunk::PACKED, |out| packed::write(out, devices));
        let prices = rows.iter().map(|row| i64::from(row.price));
        whole.section(chunk::PRICES, chunk::PACKED, |out| packed::write(out, prices));
        let bytes = whole.finish();
        let fits = bytes.len() <= MAX_CHUNK_BYTES
            && columns.iter().all(|column| column.text_bytes() <= MAX_DICTIONARY_BYTES);
        (bytes, fits)
    }

    /// The names that those rows have.
    fn column(&self, rows: &[SortedRow], column: usize) -> Column<'_> {
        let all = &self.names[column];
        let mut places = vec![0; all.len()];
        rows.iter().for_each(|row| places[row.code(column) as usize] = 1);
        let mut names = vec![];
        for (place, name) in places.iter_mut().zip(all) {
            if *place == 1 {
                *place = names.len() as u32;
                names.push(*name);
            }
        }
        Column { names, places }
    }
}

/// The names of a piece, and where among them each of all names stands.
struct Column<'a> {
    names: Vec<&'a str>,
    places: Vec<u32>,
}

impl Column<'_> {
    fn text_bytes(&self) -> usize {
        self.names.iter().map(|name| name.len()).sum()
    }
}

fn keys_of(rows: &[SortedRow], columns: &[Column<'_>]) -> Vec<u64> {
    let place = |row: &SortedRow, column: usize| u64::from(columns[column].places[row.code(column) as usize]);
    let (brands, categories) = (columns[BRAND].names.len() as u64, columns[CATEGORY].names.len() as u64);
    let key = |row| (place(row, ORIGIN) * brands + place(row, BRAND)) * categories + place(row, CATEGORY);
    rows.iter().map(key).collect()
}

/// The share of all identities that goes with a part of all rows: which piece holds one does not matter.
fn share<T>(all: &[T], start: usize, length: usize, rows: usize) -> &[T] {
    &all[all.len() * start / rows..all.len() * (start + length) / rows]
}
