//! A question in words: which rows count, how they are grouped, and what is known of a group.

use std::collections::HashSet;

use crate::filter::{BRAND, CATEGORY, COUNTRY, ORIGIN};
use crate::names::Names;

/// The most columns that a question may group by.
pub const MAX_GROUPED: usize = 3;

/// A column that a question filters or groups by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// What brought the shopper.
    Origin,
    /// The product's brand.
    Brand,
    /// The product's category.
    Category,
    /// Where the shopper is.
    Country,
    /// What the shopper uses, as the contract spells it.
    Device,
}

/// Which values of a column count. An empty name is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of which column.
    pub column: Column,
    /// These only, where there are some.
    pub one_of: Option<HashSet<String>>,
    /// And none of these.
    pub none_of: HashSet<String>,
}

/// Which rows count, and how they are grouped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The columns whose values make a group, [`MAX_GROUPED`] at most.
    pub group_by: Vec<Column>,
    /// Whether anything but the number of rows is asked for.
    pub prices: bool,
}

/// What is known of a group's rows. Where [`Cut::prices`] is off, only the count is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    /// How many.
    pub count: u64,
    /// Their prices' sum.
    pub sum_price: i64,
    /// The lowest price; `i32::MAX` where there is no row.
    pub min_price: i32,
    /// The highest price; `i32::MIN` where there is no row.
    pub max_price: i32,
}

impl Default for Measures {
    fn default() -> Self {
        Self { count: 0, sum_price: 0, min_price: i32::MAX, max_price: i32::MIN }
    }
}

impl Measures {
    /// Counts one row.
    #[inline]
    pub fn add_row(&mut self, price: i32) {
        self.count += 1;
        self.sum_price += i64::from(price);
        self.min_price = self.min_price.min(price);
        self.max_price = self.max_price.max(price);
    }

    /// Counts what another one has counted.
    pub fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_price += other.sum_price;
        self.min_price = self.min_price.min(other.min_price);
        self.max_price = self.max_price.max(other.max_price);
    }
}

impl Column {
    /// All.
    pub const ALL: [Self; 5] = [Self::Origin, Self::Brand, Self::Category, Self::Country, Self::Device];

    /// Its place among the columns of names; the device has none.
    pub(crate) fn place(self) -> Option<usize> {
        match self {
            Self::Origin => Some(ORIGIN),
            Self::Brand => Some(BRAND),
            Self::Category => Some(CATEGORY),
            Self::Country => Some(COUNTRY),
            Self::Device => None,
        }
    }
}

impl Condition {
    /// Which of these names it takes, by code.
    pub(crate) fn fitting(&self, names: &Names) -> Vec<bool> {
        let mut fits = match &self.one_of {
            Some(one_of) => names.are_in(one_of),
            None => vec![true; names.len()],
        };
        if !self.none_of.is_empty() {
            fits.iter_mut().zip(names.are_in(&self.none_of)).for_each(|(fits, out)| *fits &= !out);
        }
        fits
    }

    pub(crate) fn takes(&self, name: &str) -> bool {
        self.one_of.as_ref().is_none_or(|names| names.contains(name)) && !self.none_of.contains(name)
    }
}
