//! A column of integers in row order: in stretches of [`STRETCH`] rows, each number as the distance from the stretch's
//! least one, in as many bits as the largest distance takes. One odd number costs its own stretch and no other.

use bytes::Bytes;

use crate::Error;
use crate::bits::{BitWriter, at, packed_len, width_of};
use crate::wire::{Reader, write_signed};

/// Rows of a stretch: its head of about 4 bytes is then nothing, and a row's place is found by a shift.
const STRETCH: usize = 1024;

/// A column as it is stored, read at any row without decoding the others.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    stretches: Vec<Stretch>,
    bytes: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    least: i64,
    start: usize,
    width: u32,
}

impl Packed {
    /// Reads a column of that many rows. Its numbers are `least..=most`, all of them.
    pub(crate) fn decode(bytes: Bytes, rows: usize, least: i64, most: i64) -> Result<Self, Error> {
        let mut reader = Reader::new(&bytes);
        let mut stretches = vec![];
        for _ in 0..rows.div_ceil(STRETCH) {
            let (least_here, width) = (reader.signed()?, u32::from(reader.byte()?));
            if least_here < least || least_here > most || width > u32::BITS {
                return Err(Error::Damaged("a column's numbers"));
            }
            stretches.push(Stretch { least: least_here, start: 0, width });
        }
        let mut start = bytes.len() - reader.left();
        let mut left = rows;
        for stretch in &mut stretches {
            stretch.start = start;
            let length = packed_len(left.min(STRETCH), stretch.width);
            reader.take(length)?;
            start += length;
            left = left.saturating_sub(STRETCH);
        }
        reader.end()?;
        let column = Self { stretches, bytes };
        column.check(rows, most)?;
        Ok(column)
    }

    /// The number of a row.
    #[inline]
    pub(crate) fn at(&self, row: usize) -> i64 {
        let stretch = self.stretches[row / STRETCH];
        stretch.least + at(&self.bytes[stretch.start..], stretch.width, row % STRETCH).cast_signed()
    }

    /// Only a stretch whose bits can say more than `most` has to be looked through.
    fn check(&self, rows: usize, most: i64) -> Result<(), Error> {
        for (index, stretch) in self.stretches.iter().enumerate() {
            let first = index * STRETCH;
            let in_doubt = stretch.least + ((1_i64 << stretch.width) - 1) > most;
            if in_doubt && (first..rows.min(first + STRETCH)).any(|row| self.at(row) > most) {
                return Err(Error::Damaged("a column's numbers"));
            }
        }
        Ok(())
    }
}

/// Writes a column of numbers whose distances fit in 32 bits.
pub(crate) fn write(out: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = i64> + Clone) {
    let mut data = vec![];
    let mut rest = numbers;
    while rest.len() > 0 {
        let stretch = rest.clone().take(STRETCH);
        let (least, most) =
            stretch.clone().fold((i64::MAX, i64::MIN), |(least, most), n| (least.min(n), most.max(n)));
        let width = width_of((most - least).cast_unsigned());
        write_signed(out, least);
        out.push(width as u8);
        let mut writer = BitWriter::new(&mut data);
        stretch.for_each(|number| writer.push((number - least).cast_unsigned(), width));
        writer.finish();
        rest = skip(rest, STRETCH);
    }
    out.extend_from_slice(&data);
}

fn skip<I: Iterator>(mut numbers: I, count: usize) -> I {
    numbers.nth(count - 1);
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(any::<i32>(), 0..3000), drop in 0u32..32) {
            let numbers: Vec<i64> = numbers.iter().map(|number| i64::from(number >> drop)).collect();
            let mut out = vec![];
            write(&mut out, numbers.iter().copied());
            let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
            let column = Packed::decode(out.clone().into(), numbers.len(), least, most)?;
            for (row, number) in numbers.iter().enumerate() {
                prop_assert_eq!(column.at(row), *number);
            }
            let top = numbers.iter().copied().max().unwrap_or(0);
            prop_assert!(Packed::decode(out.clone().into(), numbers.len(), least, top).is_ok());
            prop_assert_eq!(Packed::decode(out.into(), numbers.len(), least, top - 1).is_err(), !numbers.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..40, 0..60), rows in 0usize..2000) {
            if let Ok(column) = Packed::decode(bytes.into(), rows, 0, 9) {
                prop_assert!((0..rows).all(|row| (0..=9).contains(&column.at(row))));
            }
        }
    }

    #[test]
    fn one_odd_number_costs_its_own_stretch() {
        let mut out = vec![];
        write(
            &mut out,
            (0..65_536_i32).map(|row| if row == 5 { i32::MIN.into() } else { i64::from(row % 2) }),
        );
        assert!(out.len() < 64 * 128 + 4 * 1024 + 300);
    }
}
