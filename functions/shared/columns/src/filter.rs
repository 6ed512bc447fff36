//! The contract's question of a minute, and its answer.

use std::iter::Sum;
use std::ops::AddAssign;

use crate::Row;

/// Which rows count: those that have all the names given. An empty name is a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// This origin only.
    pub origin: Option<String>,
    /// This brand only.
    pub brand: Option<String>,
    /// This category only.
    pub category: Option<String>,
}

/// How many rows, and the sum of their prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub count: u64,
    /// Their prices' sum.
    pub sum_price: i64,
}

impl Filter {
    /// Whether a row has all the names.
    pub fn takes(&self, row: &Row<'_>) -> bool {
        let fits = |wanted: &Option<String>, name| wanted.as_deref().is_none_or(|wanted| wanted == name);
        fits(&self.origin, row.origin) && fits(&self.brand, row.brand) && fits(&self.category, row.category)
    }
}

impl Totals {
    /// Counts one row.
    #[inline]
    pub fn add_row(&mut self, price: i64) {
        self.count += 1;
        self.sum_price += price;
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.sum_price += other.sum_price;
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        all.for_each(|totals| sum += totals);
        sum
    }
}

/// A filter's names as codes of a block or chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) origin: Option<usize>,
    pub(crate) brand: Option<usize>,
    pub(crate) category: Option<usize>,
}

impl Wanted {
    /// None where a name is not there at all, so that no row fits.
    pub(crate) fn of(filter: &Filter, find: impl Fn(usize, &str) -> Option<usize>) -> Option<Self> {
        let code = |column, name: &Option<String>| match name {
            Some(name) => find(column, name).map(Some),
            None => Some(None),
        };
        Some(Self {
            origin: code(ORIGIN, &filter.origin)?,
            brand: code(BRAND, &filter.brand)?,
            category: code(CATEGORY, &filter.category)?,
        })
    }
}

/// The places of the columns of names.
pub(crate) const ORIGIN: usize = 0;
pub(crate) const BRAND: usize = 1;
pub(crate) const CATEGORY: usize = 2;
pub(crate) const COUNTRY: usize = 3;
/// How many columns of names there are.
pub(crate) const NAME_COLUMNS: usize = 4;
