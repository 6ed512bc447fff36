//! Which identities a chunk has counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::OwnIdentity;

use crate::Error;
use crate::bits::{BitWriter, ShortReader};
use crate::keys::{self, Keys};
use crate::wire::{Reader, write_varint};

/// Bytes of an own identity that are stored apart from the others: sorted, their neighbours differ by little.
const HEAD_BYTES: usize = 6;
const TAIL_BYTES: usize = 16 - HEAD_BYTES;

/// The identities that a chunk has counted: of batches, and tags' own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    pub(crate) batches: BTreeMap<Arc<str>, Sequences>,
    /// Sorted, each once.
    pub(crate) owns: Vec<OwnIdentity>,
}

/// Numbers of one source's batches, as ranges (first, last): ascending, apart from each other by one number at least.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sequences(Vec<(u64, u64)>);

impl Identities {
    /// About how much memory they take.
    pub fn weight_bytes(&self) -> usize {
        let ranges: usize = self.batches.values().map(|sequences| sequences.0.len()).sum();
        ranges * size_of::<(u64, u64)>()
            + self.owns.len() * size_of::<OwnIdentity>()
            + self.batches.len() * 128
    }

    pub(crate) fn holds_own(&self, own: &OwnIdentity) -> bool {
        self.owns.binary_search(own).is_ok()
    }

    pub(crate) fn decode(batches: &[u8], owns: &Bytes) -> Result<Self, Error> {
        Ok(Self { batches: decode_batches(batches)?, owns: decode_owns(owns)? })
    }
}

impl Sequences {
    /// Puts ranges in order.
    pub(crate) fn of(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    pub(crate) fn holds(&self, sequence: u64) -> bool {
        let behind = self.0.partition_point(|range| range.0 <= sequence);
        behind > 0 && sequence <= self.0[behind - 1].1
    }

    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }
}

fn decode_batches(bytes: &[u8]) -> Result<BTreeMap<Arc<str>, Sequences>, Error> {
    let mut reader = Reader::new(bytes);
    let mut batches = BTreeMap::new();
    for _ in 0..reader.varint()? {
        let length = reader.length()?;
        let source =
            str::from_utf8(reader.take(length)?).map_err(|_| Error::Damaged("a source is not UTF-8"))?;
        let sequences = decode_sequences(&mut reader)?;
        if batches.insert(source.into(), sequences).is_some() {
            return Err(Error::Damaged("a source twice"));
        }
    }
    reader.end()?;
    Ok(batches)
}

/// Reads what [`write_owns`] wrote.
fn decode_owns(bytes: &Bytes) -> Result<Vec<OwnIdentity>, Error> {
    const FAULT: Error = Error::Damaged("own identities");
    let mut reader = Reader::new(bytes);
    let length = reader.length()?;
    let heads = reader.take(length)?;
    let (tails, rest) = reader.rest().as_chunks::<TAIL_BYTES>();
    if !rest.is_empty() {
        return Err(FAULT);
    }
    let mut owns = Vec::with_capacity(tails.len());
    Keys::decode(bytes.slice_ref(heads), tails.len())?.visit(&(0..u64::MAX), |first, heads| {
        owns.extend(heads.iter().zip(&tails[first..]).map(|(head, tail)| own(*head, tail)));
    });
    if owns.len() != tails.len() || !owns.is_sorted_by(|a, b| a < b) {
        return Err(FAULT);
    }
    Ok(owns)
}

fn own(head: u64, tail: &[u8; TAIL_BYTES]) -> OwnIdentity {
    let mut id = [0; 16];
    id[..HEAD_BYTES].copy_from_slice(&head.to_be_bytes()[8 - HEAD_BYTES..]);
    id[HEAD_BYTES..].copy_from_slice(tail);
    OwnIdentity(id)
}

/// Writes own identities, sorted and each once: their heads as a sorted column, then their tails.
pub(crate) fn write_owns(out: &mut Vec<u8>, owns: &[OwnIdentity]) {
    let mut heads = vec![];
    keys::write(&mut heads, &owns.iter().map(|own| own.short() >> (64 - 8 * HEAD_BYTES)).collect::<Vec<_>>());
    write_varint(out, heads.len() as u64);
    out.extend_from_slice(&heads);
    owns.iter().for_each(|own| out.extend_from_slice(&own.0[HEAD_BYTES..]));
}

fn decode_sequences(reader: &mut Reader<'_>) -> Result<Sequences, Error> {
    const FAULT: Error = Error::Damaged("numbers of batches");
    let (mut first, count) = (reader.varint()?, reader.varint()?);
    let mut bits = ShortReader::new(reader.rest());
    let mut ranges = vec![];
    for index in 0..count {
        if index > 0 {
            let (_, last) = ranges[ranges.len() - 1];
            let gap: u64 = bits.next().ok_or(FAULT)?;
            first = gap.checked_add(2).and_then(|gap| gap.checked_add(last)).ok_or(FAULT)?;
        }
        ranges.push((first, first.checked_add(bits.next().ok_or(FAULT)?).ok_or(FAULT)?));
    }
    reader.take(bits.bytes_read())?;
    Ok(Sequences(ranges))
}

/// Writes ranges of batches' numbers, sorted by source and number: of each source its name, the first number, and then
/// by turns the length of a range and the gap behind it, in few bits.
pub(crate) fn write_batches(out: &mut Vec<u8>, ranges: &[(&str, u64, u64)]) {
    let sources = || ranges.chunk_by(|a, b| a.0 == b.0);
    write_varint(out, sources().count() as u64);
    for ranges in sources() {
        let (source, first, _) = ranges[0];
        write_varint(out, source.len() as u64);
        out.extend_from_slice(source.as_bytes());
        write_varint(out, first);
        write_varint(out, ranges.len() as u64);
        let mut bits = BitWriter::new(out);
        let mut before = None;
        for &(_, first, last) in ranges {
            if let Some(before) = before {
                bits.push_short(first - before - 2);
            }
            bits.push_short(last - first);
            before = Some(last);
        }
        bits.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn flat(batches: &BTreeMap<Arc<str>, Sequences>) -> Vec<(&str, u64, u64)> {
        batches
            .iter()
            .flat_map(|(source, sequences)| {
                sequences.ranges().iter().map(|&(first, last)| (&**source, first, last))
            })
            .collect()
    }

    fn no_owns() -> Bytes {
        let mut out = vec![];
        write_owns(&mut out, &[]);
        out.into()
    }

    fn source() -> impl Strategy<Value = BTreeSet<u64>> {
        let far = prop_oneof![Just(0), Just(u64::MAX - 300), any::<u64>().prop_map(|n| n / 2)];
        (far, prop::collection::btree_set(0u64..=300, 1..200))
            .prop_map(|(base, numbers)| numbers.into_iter().map(|number| base + number).collect())
    }

    proptest! {
        #[test]
        fn sets_come_back(sources in prop::collection::btree_map("[/aż]{0,3}", source(), 0..4)) {
            let batches: BTreeMap<Arc<str>, Sequences> = sources
                .iter()
                .map(|(name, set)| (Arc::from(name.as_str()), Sequences::of(set.iter().map(|&n| (n, n)).collect())))
                .collect();
            let mut out = vec![];
            write_batches(&mut out, &flat(&batches));
            let read = Identities::decode(&out, &no_owns())?;
            prop_assert_eq!(&read.batches, &batches);
            for (name, set) in &sources {
                let sequences = &read.batches[name.as_str()];
                for &number in set {
                    for near in [number, number.saturating_sub(1), number.saturating_add(1)] {
                        prop_assert_eq!(sequences.holds(near), set.contains(&near));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..20, 0..60)) {
            _ = decode_batches(&bytes);
            _ = decode_owns(&bytes.into());
        }

        #[test]
        fn own_identities_come_back(owns in prop::collection::btree_set(any::<[u8; 16]>().prop_map(OwnIdentity), 0..300)) {
            let owns: Vec<OwnIdentity> = owns.into_iter().collect();
            let mut out = vec![];
            write_owns(&mut out, &owns);
            prop_assert_eq!(decode_owns(&out.into())?, owns);
        }
    }

    #[test]
    fn ranges_are_joined() {
        let joined = Sequences::of(vec![
            (7, 9),
            (0, 3),
            (4, 5),
            (8, 8),
            (u64::MAX, u64::MAX),
            (u64::MAX - 1, u64::MAX),
        ]);
        assert_eq!(joined.ranges(), [(0, 5), (7, 9), (u64::MAX - 1, u64::MAX)]);
    }

    #[test]
    fn own_identities_are_sorted_and_whole() {
        let [one, two, three] = [1, 2, 3].map(|byte| OwnIdentity([byte; 16]));
        let mut out = vec![];
        write_owns(&mut out, &[one, two]);
        let read = Identities::decode(&[0], &out.clone().into()).unwrap();
        assert!(read.holds_own(&two) && !read.holds_own(&three));
        assert!(decode_owns(&out[..out.len() - 1].to_vec().into()).is_err());
        out.clear();
        write_owns(&mut out, &[two, two]);
        assert!(decode_owns(&out.into()).is_err());
    }
}
