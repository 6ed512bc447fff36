//! A block: the rows of one minute that were delivered within some 50 ms, grouped by the batch they came in.

use std::ops::Range;

use bytes::Bytes;
use model::{Action, Device, OwnIdentity};

use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN, Wanted};
use crate::names::Names;
use crate::packed::Packed;
use crate::wire::{Reader, Sections};
use crate::{Error, Filter, MAX_BLOCK_ROWS, Row};

/// What tells a block from a chunk.
pub(crate) const KIND: u8 = b'b';

/// The sections, and how each is encoded.
pub(crate) const HEAD: u8 = 0;
pub(crate) const SOURCES: u8 = 1;
pub(crate) const BATCHES: u8 = 2;
pub(crate) const OWNS: u8 = 3;
pub(crate) const NAMES: [u8; NAME_COLUMNS] = [4, 5, 6, 7];
pub(crate) const CODES: [u8; NAME_COLUMNS] = [8, 9, 10, 11];
pub(crate) const DEVICES: u8 = 12;
pub(crate) const PRICES: u8 = 13;
pub(crate) const PLAIN: u8 = 0;
pub(crate) const LISTED: u8 = 1;
pub(crate) const PACKED: u8 = 2;

/// Rows of one minute and both actions, grouped by batch. Columns stay packed; a row is unpacked where it is asked for.
#[derive(Debug, Clone)]
pub struct Block {
    rows: usize,
    sources: Names,
    /// Sorted by source and sequence.
    batches: Vec<BatchRows>,
    names: [Names; NAME_COLUMNS],
    codes: [Packed; NAME_COLUMNS],
    devices: Packed,
    prices: Packed,
    /// Sorted by row.
    owns: Vec<(u32, OwnIdentity)>,
    encoded_bytes: usize,
    has_unknown: bool,
}

/// A batch's place in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRows {
    pub(crate) source: u32,
    pub(crate) sequence: u64,
    start: u32,
    buys: u32,
    end: u32,
}

impl Block {
    /// A block from its stored bytes.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let mut sections = Sections::decode(&bytes, KIND)?;
        let rows = Reader::new(&sections.take(HEAD, PLAIN)?).length()?;
        if rows > MAX_BLOCK_ROWS {
            return Err(Error::Damaged("too many rows"));
        }
        let sources = Names::decode_listed(&sections.take(SOURCES, LISTED)?)?;
        let batches = read_batches(&sections.take(BATCHES, PLAIN)?, sources.len(), rows)?;
        let mut column = |place: usize| {
            let names = Names::decode_listed(&sections.take(NAMES[place], LISTED)?)?;
            let codes = Packed::decode(sections.take(CODES[place], PACKED)?, rows)?
                .checked(0, names.len() as i64 - 1)?;
            Ok((names, codes))
        };
        let [(n0, c0), (n1, c1), (n2, c2), (n3, c3)] = [column(0)?, column(1)?, column(2)?, column(3)?];
        Ok(Self {
            rows,
            sources,
            batches,
            names: [n0, n1, n2, n3],
            codes: [c0, c1, c2, c3],
            devices: Packed::decode(sections.take(DEVICES, PACKED)?, rows)?.checked(0, 2)?,
            prices: Packed::decode(sections.take(PRICES, PACKED)?, rows)?
                .checked(i32::MIN.into(), i32::MAX.into())?,
            owns: read_owns(&sections.take(OWNS, PLAIN)?, rows)?,
            encoded_bytes: bytes.len(),
            has_unknown: sections.any_left(),
        })
    }

    /// How many rows it has, of both actions, repeats included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory it takes.
    pub fn weight_bytes(&self) -> usize {
        let names: usize = self.names.iter().chain([&self.sources]).map(Names::weight_bytes).sum();
        let batches = self.batches.len() * size_of::<BatchRows>();
        size_of::<Self>()
            + self.encoded_bytes
            + names
            + batches
            + self.owns.len() * size_of::<(u32, OwnIdentity)>()
    }

    /// Whether it holds columns of a newer release.
    pub(crate) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Its batches by source.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (&str, &[BatchRows])> {
        self.batches.chunk_by(|a, b| a.source == b.source).map(|batches| {
            let source = self.sources.name(batches[0].source as usize);
            (source, batches)
        })
    }

    /// The own identities of those rows that have one, by row.
    pub(crate) fn owns(&self, rows: &Range<usize>) -> &[(u32, OwnIdentity)] {
        let from = self.owns.partition_point(|own| (own.0 as usize) < rows.start);
        let length = self.owns[from..].partition_point(|own| (own.0 as usize) < rows.end);
        &self.owns[from..from + length]
    }

    /// A row below [`Self::rows`].
    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        let name = |column: usize| self.names[column].name(self.code(column, row));
        Row {
            origin: name(ORIGIN),
            brand: name(BRAND),
            category: name(CATEGORY),
            country: name(COUNTRY),
            device: self.device(row),
            price: self.price(row),
        }
    }

    pub(crate) fn names(&self, column: usize) -> &Names {
        &self.names[column]
    }

    #[inline]
    pub(crate) fn code(&self, column: usize, row: usize) -> usize {
        self.codes[column].at(row) as usize
    }

    #[inline]
    pub(crate) fn price(&self, row: usize) -> i32 {
        self.prices.at(row) as i32
    }

    pub(crate) fn device(&self, row: usize) -> Device {
        Device::from_code(self.devices.at(row) as u8).expect("decoding checked the devices")
    }

    /// The filter's names here; none where one is not there at all.
    pub(crate) fn wanted(&self, filter: &Filter) -> Option<Wanted> {
        Wanted::of(filter, |column, name| self.names[column].find(name))
    }

    #[inline]
    pub(crate) fn fits(&self, wanted: &Wanted, row: usize) -> bool {
        let fits = |wanted: Option<usize>, column| wanted.is_none_or(|code| code == self.code(column, row));
        fits(wanted.origin, ORIGIN) && fits(wanted.brand, BRAND) && fits(wanted.category, CATEGORY)
    }
}

impl BatchRows {
    /// The batch's rows of that action.
    pub(crate) fn rows(&self, action: Action) -> Range<usize> {
        match action {
            Action::View => self.start as usize..self.buys as usize,
            Action::Buy => self.buys as usize..self.end as usize,
        }
    }
}

fn read_batches(bytes: &[u8], sources: usize, rows: usize) -> Result<Vec<BatchRows>, Error> {
    const FAULT: Error = Error::Damaged("batches");
    let mut reader = Reader::new(bytes);
    let mut batches: Vec<BatchRows> = vec![];
    let mut end = 0_u64;
    let mut part = |reader: &mut Reader<'_>| {
        end = end.saturating_add(reader.varint()?);
        if end > rows as u64 { Err(FAULT) } else { Ok(end as u32) }
    };
    let mut start = 0;
    for source in 0..sources as u32 {
        let mut sequence = 0_u64;
        for index in 0..reader.varint()? {
            let distance = reader.varint()?;
            if index > 0 && distance == 0 {
                return Err(FAULT);
            }
            sequence = sequence.checked_add(distance).ok_or(FAULT)?;
            let (buys, end) = (part(&mut reader)?, part(&mut reader)?);
            batches.push(BatchRows { source, sequence, start, buys, end });
            start = end;
        }
    }
    if start as usize != rows {
        return Err(FAULT);
    }
    reader.end()?;
    Ok(batches)
}

fn read_owns(bytes: &[u8], rows: usize) -> Result<Vec<(u32, OwnIdentity)>, Error> {
    const FAULT: Error = Error::Damaged("own identities");
    let mut reader = Reader::new(bytes);
    let mut owns = vec![];
    let mut next = 0_u64;
    while reader.left() > 0 {
        let row = next.checked_add(reader.varint()?).filter(|row| *row < rows as u64).ok_or(FAULT)?;
        let own = reader.take(16)?.first_chunk().ok_or(FAULT)?;
        owns.push((row as u32, OwnIdentity(*own)));
        next = row + 1;
    }
    Ok(owns)
}
