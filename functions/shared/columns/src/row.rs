//! A row: what is kept of a tag for counting.

use model::{Device, UserTag};

/// What is kept of a tag. Its minute and action are those of what it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row<'a> {
    /// What brought the shopper.
    pub origin: &'a str,
    /// The product's brand.
    pub brand: &'a str,
    /// The product's category.
    pub category: &'a str,
    /// Where the shopper is.
    pub country: &'a str,
    /// What the shopper uses.
    pub device: Device,
    /// The product's price.
    pub price: i32,
}

impl<'a> Row<'a> {
    /// The row of a tag.
    pub fn of(tag: &'a UserTag) -> Self {
        Self {
            origin: &tag.origin,
            brand: &tag.product.brand,
            category: &tag.product.category,
            country: &tag.country,
            device: tag.device,
            price: tag.product.price,
        }
    }
}
