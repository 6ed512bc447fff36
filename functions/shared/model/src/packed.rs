//! A profile's tag, packed: what its key does not say already.
//!
//! | bytes | what |
//! |---|---|
//! | 6 | `accepted_ms`, big-endian, first, so that a range of values is a range of times |
//! | 1 | format version |
//! | 1 | device (2 bits), fraction digits (4 bits), kind of product id (2 bits) |
//! | 0-3 | nanoseconds below the millisecond, where more than three digits were sent |
//! | 1-10 | product id: zigzag, or length and text |
//! | 1-3 each | country, origin, brand, category: the number of the name; or 0, length and the name itself |
//! | 1-5 | price, zigzag |
//! | 2 | checksum: the low half of CRC-32C |
//!
//! Numbers are LEB128. Cookie, action and the millisecond are the key's.

use thiserror::Error;

use crate::{
    Action, Collection, Cookie, Device, Instant, NameNumber, ProductId, ProductInfo, TagTime, UserTag,
};

const VERSION: u8 = 1;
const ACCEPTED_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 2;
const ACCEPTED_MAX_MS: u64 = (1 << 48) - 1;

/// A name by its number where it has one, spelled out where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NameRef {
    /// By its number.
    Number(NameNumber),
    /// Spelled out.
    Spelled(String),
}

/// What is stored of a tag in a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedTag {
    /// When its batch was accepted, in milliseconds since 1970.
    pub accepted_ms: u64,
    /// What the time's fraction says beyond the millisecond, in nanoseconds.
    pub sub_ms_nanos: u32,
    /// How many fraction digits were sent.
    pub fraction_digits: u8,
    /// On what.
    pub device: Device,
    /// Which product.
    pub product_id: ProductId,
    /// Where from.
    pub country: NameRef,
    /// What brought them.
    pub origin: NameRef,
    /// The product's brand.
    pub brand: NameRef,
    /// The product's category.
    pub category: NameRef,
    /// The product's price.
    pub price: i32,
}

/// What the place of a packed tag says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagKey<'a> {
    /// Whose profile.
    pub cookie: &'a Cookie,
    /// Which of the two lists.
    pub action: Action,
    /// The tag's millisecond.
    pub instant: Instant,
}

/// Why bytes are not a packed tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PackedError {
    /// Written by a newer release.
    #[error("packed tag of newer format {0}")]
    Newer(u8),
    /// Not what was written.
    #[error("damaged packed tag")]
    Damaged,
}

impl PackedTag {
    /// A tag with its names as they are to be stored.
    pub fn new(accepted_ms: u64, tag: &UserTag, name: impl Fn(&Collection, &str) -> NameRef) -> Self {
        Self {
            accepted_ms: accepted_ms.min(ACCEPTED_MAX_MS),
            sub_ms_nanos: tag.time.sub_ms_nanos(),
            fraction_digits: tag.time.fraction_digits(),
            device: tag.device,
            product_id: tag.product.product_id.clone(),
            country: name(&Collection::COUNTRY, &tag.country),
            origin: name(&Collection::ORIGIN, &tag.origin),
            brand: name(&Collection::BRAND, &tag.product.brand),
            category: name(&Collection::CATEGORY, &tag.product.category),
            price: tag.product.price,
        }
    }

    /// The stored bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        out.extend_from_slice(&self.accepted_ms.to_be_bytes()[8 - ACCEPTED_BYTES..]);
        out.push(VERSION);
        let kind = match self.product_id {
            ProductId::Integer(_) => 0,
            ProductId::LongInteger(_) => 1,
            ProductId::Text(_) => 2,
        };
        out.push(self.device.code() | self.fraction_digits << 2 | kind << 6);
        if self.fraction_digits > 3 {
            write_number(&mut out, u64::from(self.sub_ms_nanos));
        }
        match &self.product_id {
            ProductId::Integer(id) => write_number(&mut out, zigzag(*id)),
            ProductId::LongInteger(id) | ProductId::Text(id) => write_text(&mut out, id),
        }
        for name in [&self.country, &self.origin, &self.brand, &self.category] {
            match name {
                NameRef::Number(number) => write_number(&mut out, u64::from(number.value())),
                NameRef::Spelled(text) => {
                    out.push(0);
                    write_text(&mut out, text);
                }
            }
        }
        write_number(&mut out, zigzag(i64::from(self.price)));
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// The tag of those bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackedError> {
        let (content, sum) =
            bytes.split_at_checked(bytes.len().wrapping_sub(CHECKSUM_BYTES)).ok_or(PackedError::Damaged)?;
        if content.len() <= ACCEPTED_BYTES || checksum(content) != sum {
            return Err(PackedError::Damaged);
        }
        if content[ACCEPTED_BYTES] > VERSION {
            return Err(PackedError::Newer(content[ACCEPTED_BYTES]));
        }
        Reader(content).tag().ok_or(PackedError::Damaged)
    }

    /// The whole tag again, with what its key says and its names looked up. `None` where a name is unknown.
    pub fn to_tag(
        &self,
        key: TagKey<'_>,
        name: impl Fn(&Collection, &NameRef) -> Option<String>,
    ) -> Option<UserTag> {
        Some(UserTag {
            time: TagTime::from_parts(key.instant, self.sub_ms_nanos, self.fraction_digits)?,
            cookie: key.cookie.clone(),
            country: name(&Collection::COUNTRY, &self.country)?,
            device: self.device,
            action: key.action,
            origin: name(&Collection::ORIGIN, &self.origin)?,
            product: ProductInfo {
                product_id: self.product_id.clone(),
                brand: name(&Collection::BRAND, &self.brand)?,
                category: name(&Collection::CATEGORY, &self.category)?,
                price: self.price,
            },
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn tag(mut self) -> Option<PackedTag> {
        let mut accepted = [0; 8];
        accepted[8 - ACCEPTED_BYTES..].copy_from_slice(self.take(ACCEPTED_BYTES)?);
        let head = self.take(2)?[1];
        let fraction_digits = head >> 2 & 0xf;
        let tag = PackedTag {
            accepted_ms: u64::from_be_bytes(accepted),
            sub_ms_nanos: if fraction_digits > 3 { u32::try_from(self.number()?).ok()? } else { 0 },
            fraction_digits,
            device: Device::from_code(head & 3)?,
            product_id: match head >> 6 {
                0 => ProductId::Integer(unzigzag(self.number()?)),
                1 => ProductId::LongInteger(self.text()?),
                2 => ProductId::Text(self.text()?),
                _ => return None,
            },
            country: self.name()?,
            origin: self.name()?,
            brand: self.name()?,
            category: self.name()?,
            price: i32::try_from(unzigzag(self.number()?)).ok()?,
        };
        self.0.is_empty().then_some(tag)
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn name(&mut self) -> Option<NameRef> {
        match self.number()? {
            0 => Some(NameRef::Spelled(self.text()?)),
            number => Some(NameRef::Number(NameNumber::new(u32::try_from(number).ok()?)?)),
        }
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Small for numbers near zero, whatever their sign. <https://protobuf.dev/programming-guides/encoding/#signed-ints>
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let sum = crc32c::crc32c(content).to_be_bytes();
    [sum[2], sum[3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = NameRef> {
        prop_oneof![
            (1..=NameNumber::MAX).prop_map(|n| NameRef::Number(NameNumber::new(n).unwrap())),
            any::<String>().prop_map(NameRef::Spelled),
        ]
    }

    fn product_id() -> impl Strategy<Value = ProductId> {
        prop_oneof![
            any::<i64>().prop_map(ProductId::Integer),
            any::<String>().prop_map(ProductId::Text),
            "-?[0-9]{20,40}".prop_map(ProductId::LongInteger),
        ]
    }

    prop_compose! {
        fn tag()(accepted_ms in 0..=ACCEPTED_MAX_MS, sub in 0_u32..1_000_000, fraction_digits in 0_u8..=9,
                 device in 0_u8..3, product_id in product_id(), names in [name(), name(), name(), name()],
                 price in any::<i32>()) -> PackedTag {
            let [country, origin, brand, category] = names;
            let sub_ms_nanos = if fraction_digits > 3 { sub } else { 0 };
            PackedTag { accepted_ms, sub_ms_nanos, fraction_digits, device: Device::from_code(device).unwrap(),
                        product_id, country, origin, brand, category, price }
        }
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(tag in tag()) {
            prop_assert_eq!(PackedTag::from_bytes(&tag.to_bytes()), Ok(tag));
        }

        #[test]
        fn never_takes_damaged_bytes_for_others(tag in tag(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = tag.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(PackedTag::from_bytes(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = PackedTag::from_bytes(&bytes);
        }

        #[test]
        fn earlier_accepted_sorts_first(a in tag(), b in tag()) {
            if a.accepted_ms != b.accepted_ms {
                prop_assert_eq!(a.to_bytes() < b.to_bytes(), a.accepted_ms < b.accepted_ms);
            }
        }
    }

    #[test]
    fn an_everyday_tag_takes_at_most_40_bytes() {
        let number = |n| NameRef::Number(NameNumber::new(n).unwrap());
        let tag = PackedTag {
            accepted_ms: 1_800_000_000_000,
            sub_ms_nanos: 999_999,
            fraction_digits: 9,
            device: Device::Tv,
            product_id: ProductId::Integer(i64::from(i32::MIN)),
            country: number(100),
            origin: number(1_000),
            brand: number(250),
            category: number(67),
            price: i32::MIN,
        };
        assert!(tag.to_bytes().len() <= 40, "{}", tag.to_bytes().len());
    }
}
