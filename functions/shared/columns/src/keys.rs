//! The sorted column: origin, brand and category of each row as one number, `(origin * brands + brand) * categories +
//! category`, ascending. Neighbours differ by little, so in runs of [`RUN`] rows the first number is written whole and the
//! others as the distance from the one before, in as many bits as the largest takes. The first numbers are apart, for
//! finding an origin without reading the others.

use std::ops::Range;

use bytes::Bytes;

use crate::Error;
use crate::bits::{BitWriter, MAX_WIDTH, at, packed_len, width_of};
use crate::wire::Reader;

/// Rows of a run: 128 and 256 take the same bytes with uniform names, and an origin's rows are read quicker in shorter ones.
pub(crate) const RUN: usize = 128;

/// The sorted column as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    bytes: Bytes,
    rows: usize,
    first_width: u32,
    first_start: usize,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    width: u32,
}

impl Keys {
    /// Reads a column of that many rows.
    pub(crate) fn decode(bytes: Bytes, rows: usize) -> Result<Self, Error> {
        let count = rows.div_ceil(RUN);
        let mut reader = Reader::new(&bytes);
        let first_width = width(reader.byte()?)?;
        let first_start = 1;
        reader.take(packed_len(count, first_width))?;
        let widths = reader.take(count)?;
        let mut start = bytes.len() - reader.left();
        let mut runs = Vec::with_capacity(count);
        for (index, &byte) in widths.iter().enumerate() {
            let width = width(byte)?;
            let length = packed_len(RUN.min(rows - index * RUN) - 1, width);
            reader.take(length)?;
            runs.push(Run { start, width });
            start += length;
        }
        reader.end()?;
        Ok(Self { bytes, rows, first_width, first_start, runs })
    }

    /// Calls `take` with the number of a row and the keys of it and of rows that follow it, until all rows with a key in
    /// `range` were among them.
    pub(crate) fn visit(&self, range: &Range<u64>, mut take: impl FnMut(usize, &[u64])) {
        let mut keys = [0; RUN];
        for run in self.first_run(range.start)..self.runs.len() {
            if self.first(run) >= range.end {
                return;
            }
            take(run * RUN, self.read(run, &mut keys));
        }
    }

    /// The last run that begins before `key`: the first that may hold it.
    fn first_run(&self, key: u64) -> usize {
        let (mut low, mut high) = (0, self.runs.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.first(middle) < key { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    #[inline]
    fn first(&self, run: usize) -> u64 {
        at(&self.bytes[self.first_start..], self.first_width, run)
    }

    #[inline]
    fn read<'a>(&self, run: usize, keys: &'a mut [u64; RUN]) -> &'a [u64] {
        let rows = RUN.min(self.rows - run * RUN);
        let keys = &mut keys[..rows];
        let Run { start, width } = self.runs[run];
        let deltas = &self.bytes[start..];
        let mut key = self.first(run);
        keys[0] = key;
        for (index, place) in keys[1..].iter_mut().enumerate() {
            key = key.wrapping_add(at(deltas, width, index));
            *place = key;
        }
        keys
    }
}

fn width(byte: u8) -> Result<u32, Error> {
    let width = u32::from(byte);
    if width <= MAX_WIDTH { Ok(width) } else { Err(Error::Damaged("the width of a key")) }
}

/// Writes ascending keys of [`MAX_WIDTH`] bits at most.
pub(crate) fn write(out: &mut Vec<u8>, keys: &[u64]) {
    let first_width = width_of(keys.last().copied().unwrap_or(0));
    out.push(first_width as u8);
    let mut firsts = BitWriter::new(out);
    keys.chunks(RUN).for_each(|run| firsts.push(run[0], first_width));
    firsts.finish();
    let mut data = vec![];
    for run in keys.chunks(RUN) {
        let width = run.windows(2).map(|pair| width_of(pair[1] - pair[0])).max().unwrap_or(0);
        out.push(width as u8);
        let mut deltas = BitWriter::new(&mut data);
        run.windows(2).for_each(|pair| deltas.push(pair[1] - pair[0], width));
        deltas.finish();
    }
    out.extend_from_slice(&data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_found(mut keys in prop::collection::vec(0u64..500, 0..1000), from in 0u64..520, length in 0u64..200) {
            keys.sort_unstable();
            let mut out = vec![];
            write(&mut out, &keys);
            let stored = Keys::decode(out.into(), keys.len())?;
            let range = from..from + length;
            let mut found = vec![];
            stored.visit(&range, |row, seen| {
                assert_eq!(seen, &keys[row..row + seen.len()]);
                found.extend(seen.iter().copied().filter(|key| range.contains(key)));
            });
            let wanted: Vec<u64> = keys.iter().copied().filter(|key| range.contains(key)).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn wide_keys_come_back(mut keys in prop::collection::vec(0u64..1 << MAX_WIDTH, 0..300)) {
            keys.sort_unstable();
            let mut out = vec![];
            write(&mut out, &keys);
            let mut found = vec![];
            Keys::decode(out.into(), keys.len())?.visit(&(0..u64::MAX), |_, seen| found.extend_from_slice(seen));
            prop_assert_eq!(found, keys);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..70, 0..200), rows in 0usize..600) {
            if let Ok(keys) = Keys::decode(bytes.into(), rows) {
                keys.visit(&(3..u64::MAX), |_, _| ());
            }
        }
    }
}
