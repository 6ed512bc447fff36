//! Names and the small numbers that stand for them.

use std::fmt::{self, Display};

/// The contract: an element over this many bytes gets no number.
pub const MAX_ELEMENT_BYTES: usize = 1_024;

/// What a name is a name of: `origin`, `brand`, `category`, or any other word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Collection(std::borrow::Cow<'static, str>);

/// The number of a name in its collection: its rank of first occurrence there, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameNumber(u32);

impl Collection {
    /// Names of origins.
    pub const ORIGIN: Self = Self(std::borrow::Cow::Borrowed("origin"));
    /// Names of brands.
    pub const BRAND: Self = Self(std::borrow::Cow::Borrowed("brand"));
    /// Names of categories.
    pub const CATEGORY: Self = Self(std::borrow::Cow::Borrowed("category"));
    /// Names of countries.
    pub const COUNTRY: Self = Self(std::borrow::Cow::Borrowed("country"));

    /// The collection of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(std::borrow::Cow::Owned(name.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NameNumber {
    /// The number of a collection's first name.
    pub const FIRST: Self = Self(1);
    /// The largest number: the contract gives a collection 2^24 elements.
    pub const MAX: u32 = 1 << 24;

    /// This number, if it is from 1 to [`Self::MAX`].
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}
