//! What blocks and chunks have around them: a version first, a directory of sections, a checksum last.
//!
//! `version, kind, varint sections, (id, encoding, varint length) each, the sections, CRC-32C of all that (little-endian)`.
//! Every later version begins with its number and ends with that checksum as well, so that a flipped bit is never taken
//! for a newer version. A section of an unknown id is a column that a later release added: readers step over it.

use bytes::Bytes;

use crate::Error;

/// The version that is written.
pub(crate) const VERSION: u8 = 1;
/// The most sections: a few times what there are, so that a directory stays small.
const MAX_SECTIONS: u64 = 64;
const CHECKSUM_BYTES: usize = 4;

/// Puts sections together.
pub(crate) struct SectionWriter {
    directory: Vec<u8>,
    body: Vec<u8>,
    kind: u8,
    count: u64,
}

impl SectionWriter {
    pub(crate) fn new(kind: u8) -> Self {
        Self { directory: vec![], body: vec![], kind, count: 0 }
    }

    /// Adds a section, written by `write`.
    pub(crate) fn section(&mut self, id: u8, encoding: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.body.len();
        write(&mut self.body);
        self.directory.extend_from_slice(&[id, encoding]);
        write_varint(&mut self.directory, (self.body.len() - start) as u64);
        self.count += 1;
    }

    /// The whole.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.directory.len() + self.body.len() + 16);
        out.extend_from_slice(&[VERSION, self.kind]);
        write_varint(&mut out, self.count);
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.body);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// The sections of a whole.
pub(crate) struct Sections {
    list: Vec<(u8, u8, Bytes)>,
}

impl Sections {
    /// Checks version, kind, checksum and directory.
    pub(crate) fn decode(whole: &Bytes, kind: u8) -> Result<Self, Error> {
        let (content, checksum) = whole.split_last_chunk().ok_or(Error::Damaged("too short"))?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(Error::Damaged("checksum"));
        }
        let mut reader = Reader::new(content);
        match reader.byte()? {
            VERSION => (),
            0 => return Err(Error::Damaged("version 0")),
            newer => return Err(Error::Newer(newer)),
        }
        if reader.byte()? != kind {
            return Err(Error::Damaged("neither block nor chunk, or one in place of the other"));
        }
        Self::read(reader, whole)
    }

    fn read(mut reader: Reader<'_>, whole: &Bytes) -> Result<Self, Error> {
        let count = reader.varint()?;
        if count > MAX_SECTIONS {
            return Err(Error::Damaged("sections"));
        }
        let mut directory = vec![];
        for _ in 0..count {
            directory.push((reader.byte()?, reader.byte()?, reader.length()?));
        }
        let mut start = whole.len() - CHECKSUM_BYTES - reader.left();
        let mut list: Vec<(u8, u8, Bytes)> = vec![];
        for (id, encoding, length) in directory {
            reader.take(length)?;
            if list.iter().any(|section| section.0 == id) {
                return Err(Error::Damaged("a section twice"));
            }
            list.push((id, encoding, whole.slice(start..start + length)));
            start += length;
        }
        reader.end()?;
        Ok(Self { list })
    }

    /// Takes out the section of that id, which must have that encoding.
    pub(crate) fn take(&mut self, id: u8, encoding: u8) -> Result<Bytes, Error> {
        let place =
            self.list.iter().position(|section| section.0 == id).ok_or(Error::Damaged("no such section"))?;
        let (_, found, bytes) = self.list.swap_remove(place);
        if found != encoding {
            return Err(Error::Damaged("encoding of a section"));
        }
        Ok(bytes)
    }

    /// Whether sections are left that this release does not know.
    pub(crate) fn any_left(&self) -> bool {
        !self.list.is_empty()
    }
}

/// Reads bytes in order.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Damaged("bytes behind the end")) }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, left) = self.0.split_at_checked(length).ok_or(Error::Damaged("too short"))?;
        self.0 = left;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if bits << shift >> shift != bits {
                break;
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Damaged("a number of more than 64 bits"))
    }

    /// A length: of bytes, or of things of which each takes a part of a byte.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(self.varint()?).map_err(|_| Error::Damaged("a length"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Error> {
        let folded = self.varint()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}

pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn write_signed(out: &mut Vec<u8>, value: i64) {
    write_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), signed in any::<i64>(), drop in 0u32..64) {
            let mut out = vec![];
            write_varint(&mut out, number >> drop);
            write_signed(&mut out, signed >> drop);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint()?, number >> drop);
            prop_assert_eq!(reader.signed()?, signed >> drop);
            prop_assert!(reader.end().is_ok());
        }
    }

    fn whole(version: u8) -> Bytes {
        let mut sections = SectionWriter::new(b'x');
        sections.section(7, 1, |out| out.extend_from_slice(b"seven"));
        sections.section(9, 2, |_| ());
        let mut bytes = sections.finish();
        bytes[0] = version;
        let end = bytes.len() - CHECKSUM_BYTES;
        let checksum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        bytes.into()
    }

    #[test]
    fn unknown_sections_are_stepped_over() {
        let mut sections = Sections::decode(&whole(VERSION), b'x').unwrap();
        assert_eq!(sections.take(9, 2).unwrap(), b""[..]);
        assert!(sections.any_left());
        assert_eq!(sections.take(7, 1).unwrap(), b"seven"[..]);
        assert!(!sections.any_left());
    }

    #[test]
    fn tells_newer_from_damaged() {
        assert_eq!(Sections::decode(&whole(2), b'x').err(), Some(Error::Newer(2)));
        for damaged in [whole(0), whole(2).slice(..9), Bytes::new()] {
            assert!(matches!(Sections::decode(&damaged, b'x'), Err(Error::Damaged(_))));
        }
        assert!(matches!(Sections::decode(&whole(VERSION), b'y'), Err(Error::Damaged(_))));
        let mut sections = Sections::decode(&whole(VERSION), b'x').unwrap();
        assert!(sections.take(8, 0).is_err() && sections.take(7, 0).is_err());
    }

    #[test]
    fn refuses_numbers_of_more_than_64_bits() {
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).varint(),
            Ok(u64::MAX)
        );
        assert!(Reader::new(&[0xff; 9].iter().copied().chain([2]).collect::<Vec<_>>()).varint().is_err());
        assert!(Reader::new(&[0x80; 20]).varint().is_err());
    }
}
