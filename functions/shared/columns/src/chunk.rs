//! A chunk: one action of a minute, or a piece of it, sorted and packed, and asked without decoding more than the question
//! needs.

use std::ops::Range;

use bytes::Bytes;
use model::Action;

use crate::divisor::Divisor;
use crate::filter::{BRAND, CATEGORY, NAME_COLUMNS, Wanted};
use crate::keys::Keys;
use crate::names::Names;
use crate::packed::Packed;
use crate::rule::Counted;
use crate::wire::{Reader, Sections};
use crate::{DecodedChunk, Error, Filter, Identities, MAX_CHUNK_ROWS, Totals};

/// What tells a chunk from a block.
pub(crate) const KIND: u8 = b'c';

/// The sections, and how each is encoded.
pub(crate) const HEAD: u8 = 0;
pub(crate) const BATCHES: u8 = 1;
pub(crate) const OWNS: u8 = 2;
pub(crate) const NAMES: [u8; NAME_COLUMNS] = [3, 4, 5, 6];
pub(crate) const SORTED_KEYS: u8 = 7;
pub(crate) const COUNTRIES: u8 = 8;
pub(crate) const DEVICES: u8 = 9;
pub(crate) const PRICES: u8 = 10;
pub(crate) const PLAIN: u8 = 0;
pub(crate) const FRONT_CODED: u8 = 1;
pub(crate) const PACKED: u8 = 2;
pub(crate) const SORTED: u8 = 3;
pub(crate) const SHORT: u8 = 4;

/// Rows of one action of a minute, sorted, and the identities counted in them. Columns stay packed.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub(crate) action: Action,
    pub(crate) rows: usize,
    pub(crate) totals: Totals,
    pub(crate) identities: Identities,
    pub(crate) names: [Names; NAME_COLUMNS],
    pub(crate) keys: Keys,
    pub(crate) countries: Packed,
    pub(crate) devices: Packed,
    pub(crate) prices: Packed,
    encoded_bytes: usize,
    has_unknown: bool,
}

impl Chunk {
    /// A chunk from its stored bytes. Reads names and identities; of the columns no more than where they lie.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let mut sections = Sections::decode(&bytes, KIND)?;
        let (action, rows, totals) = read_head(&sections.take(HEAD, PLAIN)?)?;
        let mut names =
            |column: usize| match Names::decode_sorted(&sections.take(NAMES[column], FRONT_CODED)?)? {
                names if names.len() <= rows => Ok(names),
                _ => Err(Error::Damaged("more names than rows")),
            };
        let names = [names(0)?, names(1)?, names(2)?, names(3)?];
        if rows > 0 && names.iter().any(|names| names.len() == 0) {
            return Err(Error::Damaged("rows without names"));
        }
        Ok(Self {
            action,
            rows,
            totals,
            identities: Identities::decode(&sections.take(BATCHES, SHORT)?, &sections.take(OWNS, SORTED)?)?,
            keys: Keys::decode(sections.take(SORTED_KEYS, SORTED)?, rows)?,
            countries: Packed::decode(sections.take(COUNTRIES, PACKED)?, rows)?,
            devices: Packed::decode(sections.take(DEVICES, PACKED)?, rows)?,
            prices: Packed::decode(sections.take(PRICES, PACKED)?, rows)?,
            names,
            encoded_bytes: bytes.len(),
            has_unknown: sections.any_left(),
        })
    }

    /// The action of all its rows.
    pub fn action(&self) -> Action {
        self.action
    }

    /// All its rows, without looking at them.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The rows that the filter takes. Reads no more of the columns than it must.
    pub fn scan(&self, filter: &Filter) -> Totals {
        match Wanted::of(filter, |column, name| self.names[column].find(name)) {
            None => Totals::default(),
            Some(Wanted { origin: None, brand: None, category: None }) => self.totals,
            Some(wanted) => self.scan_wanted(&wanted),
        }
    }

    /// With its columns decoded, for many questions.
    pub fn decoded(&self) -> Result<DecodedChunk, Error> {
        DecodedChunk::of(self)
    }

    /// The identities that it counts.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Its stored length.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    /// About how much memory it takes.
    pub fn weight_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(Names::weight_bytes).sum();
        size_of::<Self>() + self.encoded_bytes + names + self.identities.weight_bytes() + self.rows / 8
    }

    /// Whether it holds columns of a newer release.
    pub(crate) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    fn scan_wanted(&self, wanted: &Wanted) -> Totals {
        let (range, brand, category) =
            (self.range(wanted), self.rest_brand(wanted), self.rest_category(wanted));
        match (brand, category) {
            (None, None) => self.sum_where(&range, |_| true),
            (None, Some(category)) => {
                let categories = self.divisor(CATEGORY);
                self.sum_where(&range, |key| categories.divide(key).1 == category)
            }
            (Some(brand), category) => {
                let (brands, categories) = (self.divisor(BRAND), self.divisor(CATEGORY));
                self.sum_where(&range, |key| {
                    let (above, of_category) = categories.divide(key);
                    brands.divide(above).1 == brand && category.is_none_or(|wanted| wanted == of_category)
                })
            }
        }
    }

    /// The keys that the filter's first names leave.
    fn range(&self, wanted: &Wanted) -> Range<u64> {
        let [origins, brands, categories, _] = self.names.each_ref().map(|names| names.len() as u64);
        let Some(origin) = wanted.origin.map(|code| code as u64) else {
            return 0..origins * brands * categories;
        };
        let Some(brand) = wanted.brand.map(|code| code as u64) else {
            return origin * brands * categories..(origin + 1) * brands * categories;
        };
        let start = (origin * brands + brand) * categories;
        match wanted.category.map(|code| code as u64) {
            None => start..start + categories,
            Some(category) => start + category..start + category + 1,
        }
    }

    /// The brand, where the range does not say it.
    fn rest_brand(&self, wanted: &Wanted) -> Option<u64> {
        wanted.brand.filter(|_| wanted.origin.is_none()).map(|code| code as u64)
    }

    /// The category, where the range does not say it.
    fn rest_category(&self, wanted: &Wanted) -> Option<u64> {
        wanted.category.filter(|_| wanted.origin.is_none() || wanted.brand.is_none()).map(|code| code as u64)
    }

    pub(crate) fn divisor(&self, column: usize) -> Divisor {
        Divisor::new((self.names[column].len() as u64).max(1))
    }

    #[inline]
    fn sum_where(&self, range: &Range<u64>, fits: impl Fn(u64) -> bool) -> Totals {
        let mut totals = Totals::default();
        self.keys.visit(range, |row, keys| {
            for (index, key) in keys.iter().enumerate() {
                if range.contains(key) && fits(*key) {
                    totals.add_row(self.prices.at(row + index));
                }
            }
        });
        totals
    }
}

impl Counted for Chunk {
    fn action(&self) -> Action {
        self.action
    }

    fn scan(&self, filter: &Filter) -> Totals {
        self.scan(filter)
    }

    fn identities(&self) -> &Identities {
        &self.identities
    }
}

fn read_head(bytes: &[u8]) -> Result<(Action, usize, Totals), Error> {
    let mut reader = Reader::new(bytes);
    let action = Action::from_code(reader.byte()?).ok_or(Error::Damaged("action"))?;
    let (rows, sum_price) = (reader.length()?, reader.signed()?);
    reader.end()?;
    if rows > MAX_CHUNK_ROWS || sum_price.unsigned_abs() > rows as u64 * (1 << 31) {
        return Err(Error::Damaged("too many rows, or too large a sum"));
    }
    Ok((action, rows, Totals { count: rows as u64, sum_price }))
}
