//! Numbers of a few bits each, one behind the other.

/// The widest number: with up to 7 bits before it in its first byte it still fits one load of 64 bits.
pub(crate) const MAX_WIDTH: u32 = 56;

/// Data bits in a group of a short number ([`BitWriter::push_short`]): two measured best on gaps between batches.
const GROUP_BITS: u32 = 2;

/// How many bits `largest` takes.
pub(crate) fn width_of(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// How many bytes `count` numbers of `width` bits take.
pub(crate) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// The number at `index`; behind the end of `bytes` all bits are 0.
#[inline]
pub(crate) fn at(bytes: &[u8], width: u32, index: usize) -> u64 {
    let bit = index * width as usize;
    (load(bytes, bit >> 3) >> (bit & 7)) & ((1 << width) - 1)
}

#[inline]
fn load(bytes: &[u8], from: usize) -> u64 {
    match bytes.get(from..).and_then(<[u8]>::first_chunk) {
        Some(word) => u64::from_le_bytes(*word),
        None => load_tail(bytes, from),
    }
}

#[cold]
fn load_tail(bytes: &[u8], from: usize) -> u64 {
    let mut word = [0; 8];
    let tail = bytes.get(from..).unwrap_or_default();
    word[..tail.len()].copy_from_slice(tail);
    u64::from_le_bytes(word)
}

/// Writes numbers behind one another.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, filled: 0 }
    }

    /// Adds a number that has no bit above `width`, which is at most [`MAX_WIDTH`].
    #[inline]
    pub(crate) fn push(&mut self, value: u64, width: u32) {
        debug_assert!(width <= MAX_WIDTH && width_of(value) <= width, "{value} in {width} bits");
        self.word |= value << self.filled;
        self.filled += width;
        if self.filled >= u64::BITS {
            self.out.extend_from_slice(&self.word.to_le_bytes());
            self.filled -= u64::BITS;
            self.word = value >> (width - self.filled);
        }
    }

    /// Adds a number that is mostly small: groups of bits, each with a bit that says whether another follows.
    pub(crate) fn push_short(&mut self, mut value: u64) {
        loop {
            let low = value & ((1 << GROUP_BITS) - 1);
            value >>= GROUP_BITS;
            self.push(low << 1 | u64::from(value != 0), GROUP_BITS + 1);
            if value == 0 {
                return;
            }
        }
    }

    /// Fills the last byte with zeros.
    pub(crate) fn finish(self) {
        let bytes = self.filled.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_le_bytes()[..bytes]);
    }
}

/// Reads what [`BitWriter::push_short`] wrote.
pub(crate) struct ShortReader<'a> {
    bytes: &'a [u8],
    groups: usize,
}

impl<'a> ShortReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, groups: 0 }
    }

    /// The next number; none at the end of the bytes, or where it has more than 64 bits.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(GROUP_BITS as usize) {
            if packed_len(self.groups + 1, GROUP_BITS + 1) > self.bytes.len() {
                return None;
            }
            let group = at(self.bytes, GROUP_BITS + 1, self.groups);
            self.groups += 1;
            value |= (group >> 1) << shift;
            if group & 1 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// How many bytes the numbers read so far take.
    pub(crate) fn bytes_read(&self) -> usize {
        packed_len(self.groups, GROUP_BITS + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec(0u64..1 << MAX_WIDTH, 0..200), drop in 0u32..=MAX_WIDTH) {
            let values: Vec<u64> = values.iter().map(|value| value >> drop).collect();
            let width = values.iter().copied().map(width_of).max().unwrap_or(0);
            let mut out = vec![];
            let mut writer = BitWriter::new(&mut out);
            values.iter().for_each(|&value| writer.push(value, width));
            writer.finish();
            prop_assert_eq!(out.len(), packed_len(values.len(), width));
            for (index, &value) in values.iter().enumerate() {
                prop_assert_eq!(at(&out, width, index), value);
            }
        }

        #[test]
        fn short_numbers_come_back(values in prop::collection::vec((any::<u64>(), 0u32..64), 0..100)) {
            let values: Vec<u64> = values.iter().map(|(value, drop)| value >> drop).collect();
            let mut out = vec![];
            let mut writer = BitWriter::new(&mut out);
            values.iter().for_each(|&value| writer.push_short(value));
            writer.finish();
            let mut reader = ShortReader::new(&out);
            for &value in &values {
                prop_assert_eq!(reader.next(), Some(value));
            }
            prop_assert_eq!(reader.bytes_read(), out.len());
        }
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        assert_eq!(at(&[], 5, 1_000), 0);
        assert_eq!(at(&[0xff], 5, 1), 7);
        assert_eq!(ShortReader::new(&[0xff; 3]).next(), None);
        assert_eq!(ShortReader::new(&[0xff; 30]).next(), None);
    }
}
