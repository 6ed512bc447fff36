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
    rows: usize,
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
    /// Reads a column of that many rows, but not its numbers: they are i32s or their like, and may be any such.
    pub(crate) fn decode(bytes: Bytes, rows: usize) -> Result<Self, Error> {
        let mut reader = Reader::new(&bytes);
        let mut stretches = vec![];
        for _ in 0..rows.div_ceil(STRETCH) {
            let (least, width) = (reader.signed()?, u32::from(reader.byte()?));
            if i32::try_from(least).is_err() || width > u32::BITS {
                return Err(Error::Damaged("a column's numbers"));
            }
            stretches.push(Stretch { least, start: 0, width });
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
        Ok(Self { rows, stretches, bytes })
    }

    /// The same column, if all its numbers are in `least..=most`.
    pub(crate) fn checked(self, least: i64, most: i64) -> Result<Self, Error> {
        if self.is_within(least, most) { Ok(self) } else { Err(Error::Damaged("a column's numbers")) }
    }

    /// Whether all its numbers are in `least..=most`.
    pub(crate) fn is_within(&self, least: i64, most: i64) -> bool {
        !self.in_doubt(least, most) || self.unpack(|number| number).iter().all(|n| (least..=most).contains(n))
    }

    /// The numbers from a row on, converted: as many as there is room for, all in one stretch.
    #[inline]
    pub(crate) fn read<T>(&self, row: usize, out: &mut [T], convert: impl Fn(i64) -> T) {
        let Stretch { least, start, width } = self.stretches[row / STRETCH];
        let bytes = &self.bytes[start..];
        for (index, place) in (row % STRETCH..).zip(out) {
            *place = convert(least + at(bytes, width, index).cast_signed());
        }
    }

    /// All numbers, converted.
    pub(crate) fn unpack<T>(&self, convert: impl Fn(i64) -> T) -> Vec<T> {
        let mut all = Vec::with_capacity(self.rows);
        for &Stretch { least, start, width } in &self.stretches {
            let bytes = &self.bytes[start..];
            let rows = STRETCH.min(self.rows - all.len());
            all.extend((0..rows).map(|row| convert(least + at(bytes, width, row).cast_signed())));
        }
        all
    }

    /// The number of a row.
    #[inline]
    pub(crate) fn at(&self, row: usize) -> i64 {
        let stretch = self.stretches[row / STRETCH];
        stretch.least + at(&self.bytes[stretch.start..], stretch.width, row % STRETCH).cast_signed()
    }

    /// Whether the stretches' heads alone do not say that all numbers are in `least..=most`.
    fn in_doubt(&self, least: i64, most: i64) -> bool {
        let is_doubtful =
            |stretch: &Stretch| stretch.least < least || stretch.least + ((1 << stretch.width) - 1) > most;
        self.stretches.iter().any(is_doubtful)
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
            let numbers: Vec<i64> = numbers.iter().map(|number| i64::from(*number >> drop)).collect();
            let mut out = vec![];
            write(&mut out, numbers.iter().copied());
            let column = Packed::decode(out.into(), numbers.len())?;
            prop_assert_eq!(column.unpack(|number| number), numbers.clone());
            for (row, number) in numbers.iter().enumerate() {
                prop_assert_eq!(column.at(row), *number);
            }
            let (least, most) = numbers.iter().fold((0, 0), |(least, most), n| (*n.min(&least), *n.max(&most)));
            prop_assert!(column.clone().checked(least, most).is_ok());
            prop_assert_eq!(column.clone().checked(least, most - 1).is_err(), numbers.contains(&most));
            prop_assert_eq!(column.checked(least + 1, most).is_err(), numbers.contains(&least));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..40, 0..60), rows in 0usize..2000) {
            if let Ok(column) = Packed::decode(bytes.into(), rows) {
                let fits = (0..rows).all(|row| (0..=9).contains(&column.at(row)));
                prop_assert_eq!(column.checked(0, 9).is_ok(), fits);
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
