//! A chunk with its columns as arrays: for a cache, and for questions beyond the contract's.

use std::ops::Range;

use model::{Action, Device};

use crate::filter::{BRAND, CATEGORY, COUNTRY, ORIGIN, Wanted};
use crate::keys::RUN;
use crate::names::Names;
use crate::rule::Counted;
use crate::{Chunk, Error, Filter, Identities, Row, Totals};

/// Rows that are compared at once: enough for the processor's widest comparison, and few enough that most groups have
/// no row that fits and are passed over.
const GROUP: usize = 64;

/// A chunk's rows as columns: row `n` is the `n`th of each. At most 21 bytes a row; 10 with the usual numbers of names.
#[derive(Debug, Clone)]
pub struct DecodedChunk {
    action: Action,
    totals: Totals,
    identities: Identities,
    origin: NameColumn,
    brand: NameColumn,
    category: NameColumn,
    country: NameColumn,
    devices: Vec<Device>,
    prices: Vec<i32>,
}

/// A column of names.
#[derive(Debug, Clone)]
pub struct NameColumn {
    names: Names,
    codes: Codes,
}

/// Which name each row has, as its place among the sorted names, in as few bytes as hold them all.
#[derive(Debug, Clone)]
pub enum Codes {
    /// Up to 2^8 names.
    U8(Vec<u8>),
    /// Up to 2^16.
    U16(Vec<u16>),
    /// More.
    U32(Vec<u32>),
}

impl DecodedChunk {
    pub(crate) fn of(chunk: &Chunk) -> Result<Self, Error> {
        let [origins, brands, categories] = key_codes(chunk)?;
        let country_codes = chunk.countries.unpack(|code| code as u32);
        let devices = chunk.devices.unpack(|code| Device::from_code(code as u8));
        if country_codes.iter().any(|code| *code as usize >= chunk.names[COUNTRY].len())
            || devices.contains(&None)
        {
            return Err(Error::Damaged("a code beyond the names"));
        }
        let mut countries = Codes::with_capacity(chunk.names[COUNTRY].len(), chunk.rows);
        countries.extend(country_codes.into_iter());
        let prices = chunk.prices.clone().checked(i32::MIN.into(), i32::MAX.into())?;
        let column = |place: usize, codes| NameColumn { names: chunk.names[place].clone(), codes };
        Ok(Self {
            action: chunk.action,
            totals: chunk.totals,
            identities: chunk.identities.clone(),
            origin: column(ORIGIN, origins),
            brand: column(BRAND, brands),
            category: column(CATEGORY, categories),
            country: column(COUNTRY, countries),
            devices: devices.into_iter().flatten().collect(),
            prices: prices.unpack(|price| price as i32),
        })
    }

    /// The action of all its rows.
    pub fn action(&self) -> Action {
        self.action
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.prices.len()
    }

    /// All its rows, without looking at them.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The rows that the filter takes.
    pub fn scan(&self, filter: &Filter) -> Totals {
        let columns = [&self.origin, &self.brand, &self.category];
        let Some(wanted) = Wanted::of(filter, |column, name| columns[column].code(name)) else {
            return Totals::default();
        };
        let Wanted { origin, brand, category } = wanted;
        if origin.is_none() && brand.is_none() && category.is_none() {
            return self.totals;
        }
        let rows = origin.map_or(0..self.rows(), |code| self.origin.codes.range_of(code));
        self.sum(&rows, [(&self.brand.codes, brand), (&self.category.codes, category)])
    }

    /// Origins; its rows are sorted by them, then by brand, category and price.
    pub fn origin(&self) -> &NameColumn {
        &self.origin
    }

    /// Brands.
    pub fn brand(&self) -> &NameColumn {
        &self.brand
    }

    /// Categories.
    pub fn category(&self) -> &NameColumn {
        &self.category
    }

    /// Countries.
    pub fn country(&self) -> &NameColumn {
        &self.country
    }

    /// Devices.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Prices.
    pub fn prices(&self) -> &[i32] {
        &self.prices
    }

    /// A row below [`Self::rows`].
    pub fn row(&self, row: usize) -> Row<'_> {
        Row {
            origin: self.origin.name_at(row),
            brand: self.brand.name_at(row),
            category: self.category.name_at(row),
            country: self.country.name_at(row),
            device: self.devices[row],
            price: self.prices[row],
        }
    }

    /// The identities that it counts.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// About how much memory it takes.
    pub fn weight_bytes(&self) -> usize {
        let columns = [&self.origin, &self.brand, &self.category, &self.country];
        let names: usize =
            columns.iter().map(|column| column.names.weight_bytes() + column.codes.weight_bytes()).sum();
        size_of::<Self>()
            + names
            + self.identities.weight_bytes()
            + self.rows() * (size_of::<i32>() + size_of::<Device>())
    }

    fn sum(&self, rows: &Range<usize>, conditions: [(&Codes, Option<usize>); 2]) -> Totals {
        let mut totals = Totals::default();
        for start in rows.clone().step_by(GROUP) {
            let group = start..rows.end.min(start + GROUP);
            let mut fits = [u8::MAX; GROUP];
            let fits = &mut fits[..group.len()];
            for (codes, wanted) in conditions {
                if let Some(code) = wanted {
                    codes.keep(&group, code, fits);
                }
            }
            if fits.iter().fold(0, |any, fit| any | fit) != 0 {
                totals += sum_fitting(&self.prices[group], fits);
            }
        }
        totals
    }
}

/// The codes of origin, brand and category, out of the sorted keys.
fn key_codes(chunk: &Chunk) -> Result<[Codes; 3], Error> {
    let names = |column: usize| chunk.names[column].len();
    let mut columns = [ORIGIN, BRAND, CATEGORY].map(|column| Codes::with_capacity(names(column), chunk.rows));
    let (brands, categories) = (chunk.divisor(BRAND), chunk.divisor(CATEGORY));
    let mut largest = None;
    chunk.keys.visit(&(0..u64::MAX), |_, keys| {
        let mut codes = [[0; RUN]; 3];
        for (row, key) in keys.iter().enumerate() {
            let (above, category) = categories.divide(*key);
            let (origin, brand) = brands.divide(above);
            largest = largest.max(Some(origin));
            codes[ORIGIN][row] = origin as u32;
            codes[BRAND][row] = brand as u32;
            codes[CATEGORY][row] = category as u32;
        }
        let codes = codes.iter().map(|codes| codes[..keys.len()].iter().copied());
        codes.zip(&mut columns).for_each(|(codes, column)| column.extend(codes));
    });
    if largest.is_some_and(|origin| origin >= names(ORIGIN) as u64) {
        return Err(Error::Damaged("a key beyond the names"));
    }
    Ok(columns)
}

/// Of each row all bits or none: no jumps, so that the compiler makes vectors of it.
fn sum_fitting(prices: &[i32], fits: &[u8]) -> Totals {
    let mut sum_price = 0;
    let mut count = 0;
    for (price, fit) in prices.iter().zip(fits) {
        let mask = i32::from(fit.cast_signed());
        sum_price += i64::from(price & mask);
        count += u32::from(*fit & 1);
    }
    Totals { count: count.into(), sum_price }
}

impl NameColumn {
    /// Its names in order; a code is a place here.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.names.iter()
    }

    /// The code of a name, if any row may have it.
    pub fn code(&self, name: &str) -> Option<usize> {
        self.names.find(name)
    }

    /// The code of each row.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The name of a row.
    pub fn name_at(&self, row: usize) -> &str {
        self.names.name(self.codes.at(row))
    }
}

impl Codes {
    fn with_capacity(names: usize, rows: usize) -> Self {
        match names {
            0..=0x100 => Self::U8(Vec::with_capacity(rows)),
            0x101..=0x1_0000 => Self::U16(Vec::with_capacity(rows)),
            _ => Self::U32(Vec::with_capacity(rows)),
        }
    }

    fn extend(&mut self, more: impl Iterator<Item = u32>) {
        match self {
            Self::U8(codes) => codes.extend(more.map(|code| code as u8)),
            Self::U16(codes) => codes.extend(more.map(|code| code as u16)),
            Self::U32(codes) => codes.extend(more),
        }
    }

    /// The code of a row.
    #[inline]
    pub fn at(&self, row: usize) -> usize {
        match self {
            Self::U8(codes) => codes[row].into(),
            Self::U16(codes) => codes[row].into(),
            Self::U32(codes) => codes[row] as usize,
        }
    }

    /// The rows of a code, where rows are sorted by it.
    fn range_of(&self, code: usize) -> Range<usize> {
        fn range<T: Copy + Into<u64>>(codes: &[T], code: usize) -> Range<usize> {
            let start = codes.partition_point(|other| (*other).into() < code as u64);
            start..start + codes[start..].partition_point(|other| (*other).into() == code as u64)
        }
        match self {
            Self::U8(codes) => range(codes, code),
            Self::U16(codes) => range(codes, code),
            Self::U32(codes) => range(codes, code),
        }
    }

    /// Clears what does not have that code.
    #[inline]
    fn keep(&self, rows: &Range<usize>, code: usize, fits: &mut [u8]) {
        fn keep<T: Copy + PartialEq>(codes: &[T], code: T, fits: &mut [u8]) {
            for (fit, other) in fits.iter_mut().zip(codes) {
                *fit &= if *other == code { u8::MAX } else { 0 };
            }
        }
        match self {
            Self::U8(codes) => keep(&codes[rows.clone()], code as u8, fits),
            Self::U16(codes) => keep(&codes[rows.clone()], code as u16, fits),
            Self::U32(codes) => keep(&codes[rows.clone()], code as u32, fits),
        }
    }

    fn weight_bytes(&self) -> usize {
        match self {
            Self::U8(codes) => codes.len(),
            Self::U16(codes) => codes.len() * 2,
            Self::U32(codes) => codes.len() * 4,
        }
    }
}

impl Counted for DecodedChunk {
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
