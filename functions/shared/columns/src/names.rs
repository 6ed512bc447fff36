//! Lists of names: what the codes in a column stand for.

use std::collections::HashSet;

use crate::wire::{Reader, write_varint};
use crate::{Error, MAX_DICTIONARY_BYTES};

/// Names, numbered from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    text: String,
    ends: Vec<u32>,
    sorted: bool,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name of a code that is below [`Self::len`].
    #[inline]
    pub(crate) fn name(&self, code: usize) -> &str {
        let start = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.text[start as usize..self.ends[code] as usize]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|code| self.name(code))
    }

    /// The code of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if !self.sorted {
            return self.iter().position(|other| other == name);
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.name(middle) < name { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.name(low) == name).then_some(low)
    }

    /// Which of them hold one of these names.
    pub(crate) fn are_in(&self, names: &HashSet<String>) -> Vec<bool> {
        if !self.sorted {
            return self.iter().map(|name| names.contains(name)).collect();
        }
        let mut found = vec![false; self.len()];
        names.iter().filter_map(|name| self.find(name)).for_each(|code| found[code] = true);
        found
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }

    /// Reads what [`write_listed`] wrote.
    pub(crate) fn decode_listed(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let count = reader.length()?;
        let (mut text, mut ends) = (vec![], vec![]);
        for _ in 0..count {
            let length = reader.length()?;
            text.extend_from_slice(reader.take(length)?);
            ends.push(end(&text)?);
        }
        reader.end()?;
        Self::checked(text, ends, false)
    }

    /// Reads what [`write_sorted`] wrote.
    pub(crate) fn decode_sorted(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let count = reader.length()?;
        let (mut text, mut ends) = (vec![], vec![]);
        let mut previous = 0..0;
        for index in 0..count {
            let (shared, length) = (reader.length()?, reader.length()?);
            let suffix = reader.take(length)?;
            if shared > previous.len() || text.len() + shared + length > MAX_DICTIONARY_BYTES {
                return Err(Error::Damaged("a name"));
            }
            let next_old = text.get(previous.start + shared..previous.end).and_then(<[u8]>::first).copied();
            if index > 0 && suffix.first().copied() <= next_old {
                return Err(Error::Damaged("names out of order"));
            }
            let start = text.len();
            text.extend_from_within(previous.start..previous.start + shared);
            text.extend_from_slice(suffix);
            previous = start..text.len();
            ends.push(end(&text)?);
        }
        reader.end()?;
        Self::checked(text, ends, true)
    }

    fn checked(text: Vec<u8>, ends: Vec<u32>, sorted: bool) -> Result<Self, Error> {
        let text = String::from_utf8(text).map_err(|_| Error::Damaged("a name is not UTF-8"))?;
        if !ends.iter().all(|&end| text.is_char_boundary(end as usize)) {
            return Err(Error::Damaged("a name is not UTF-8"));
        }
        Ok(Self { text, ends, sorted })
    }
}

fn end(text: &[u8]) -> Result<u32, Error> {
    u32::try_from(text.len()).map_err(|_| Error::Damaged("too many names"))
}

/// Writes names one after the other, each with its length: quick.
pub(crate) fn write_listed<'a>(out: &mut Vec<u8>, names: impl ExactSizeIterator<Item = &'a str>) {
    write_varint(out, names.len() as u64);
    for name in names {
        write_varint(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
    }
}

/// Writes sorted and distinct names, of each only what differs from the one before.
pub(crate) fn write_sorted<'a>(out: &mut Vec<u8>, names: impl ExactSizeIterator<Item = &'a str>) {
    write_varint(out, names.len() as u64);
    let mut previous = "";
    for name in names {
        let shared = previous.bytes().zip(name.bytes()).take_while(|(old, new)| old == new).count();
        write_varint(out, shared as u64);
        write_varint(out, (name.len() - shared) as u64);
        out.extend_from_slice(&name.as_bytes()[shared..]);
        previous = name;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_come_back(names in prop::collection::btree_set("[aż\u{0}]{0,4}|.{0,6}", 0..40), other in "[aż]{0,3}") {
            let sorted: BTreeSet<String> = names;
            let (mut listed, mut front_coded) = (vec![], vec![]);
            let list: Vec<&str> = sorted.iter().map(String::as_str).collect();
            write_listed(&mut listed, list.iter().copied());
            write_sorted(&mut front_coded, list.iter().copied());
            for names in [Names::decode_listed(&listed)?, Names::decode_sorted(&front_coded)?] {
                prop_assert_eq!(names.iter().collect::<Vec<_>>(), list.clone());
                for name in list.iter().copied().chain([other.as_str()]) {
                    let place = list.iter().position(|other| *other == name);
                    prop_assert_eq!(names.find(name), place);
                }
                let some: HashSet<String> = list.iter().step_by(2).copied().chain([other.as_str()]).map(String::from).collect();
                let held: Vec<bool> = list.iter().map(|name| some.contains(*name)).collect();
                prop_assert_eq!(names.are_in(&some), held);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..6, 0..60)) {
            _ = Names::decode_listed(&bytes);
            if let Ok(names) = Names::decode_sorted(&bytes) {
                prop_assert!(names.iter().is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn a_few_bytes_do_not_grow_without_bound() {
        let mut bomb = vec![];
        write_varint(&mut bomb, 1 << 40);
        write_varint(&mut bomb, 0);
        write_varint(&mut bomb, 60_000);
        bomb.extend_from_slice(&[b'a'; 60_000]);
        for length in 60_000..60_500 {
            write_varint(&mut bomb, length);
            write_varint(&mut bomb, 1);
            bomb.push(b'a');
        }
        assert_eq!(Names::decode_sorted(&bomb).err(), Some(Error::Damaged("a name")));
        assert!(Names::decode_listed(&[0xff, 0xff, 3]).is_err());
    }
}
