//! The deterministic stream of user tags: any tag is found from the seed and its number alone.

use std::borrow::Cow;
use std::fmt::Write;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::calendar::{self, MINUTE_MS, Precision, STREAM_START_MS};
use crate::dice::{Dice, Purpose};
use crate::names;

/// Highest number of tags in a stream: a number fits in 32 bits, and a month at 1 ms a tag is more than anyone runs.
pub const MAX_TAGS: u32 = 31 * 86_400_000;

/// Most names of one kind: they are kept in tables.
const MAX_NAMES: u32 = 10_000_000;

/// Prices of ordinary tags are below this.
const PRICE_LIMIT: i64 = 100_000;

/// Which stream: its seed, its first instant and how many different values each field has.
#[derive(Debug, Clone, Args)]
pub struct Shape {
    /// The stream is the same for the same seed
    #[arg(long, default_value_t = 1, help_heading = "Stream")]
    pub seed: u64,
    /// Logical time of tag 0; tag n is n milliseconds later
    #[arg(long, value_name = "INSTANT", default_value = "2022-03-01T00:00:00", value_parser = start_ms, help_heading = "Stream")]
    pub start: i64,
    /// Different cookies; few make profiles fill beyond 200
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = cardinality(), help_heading = "Stream")]
    pub cookies: u32,
    /// Different countries
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = cardinality(), help_heading = "Stream")]
    pub countries: u32,
    /// Different origins
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = cardinality(), help_heading = "Stream")]
    pub origins: u32,
    /// Different brands
    #[arg(long, value_name = "COUNT", default_value_t = 250, value_parser = cardinality(), help_heading = "Stream")]
    pub brands: u32,
    /// Different categories
    #[arg(long, value_name = "COUNT", default_value_t = 67, value_parser = cardinality(), help_heading = "Stream")]
    pub categories: u32,
    /// Percentage of tags that are a BUY
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Stream")]
    pub buys: u8,
    /// Percentage of tags with a price or product that is 0, negative or extreme [default: 1; load: 0]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Stream")]
    pub odd_values: Option<u8>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            seed: 1,
            start: STREAM_START_MS,
            cookies: 1_000_000,
            countries: 100,
            origins: 1_000,
            brands: 250,
            categories: 67,
            buys: 10,
            odd_values: None,
        }
    }
}

/// What a shopper did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Looked at a product.
    View,
    /// Bought it.
    Buy,
}

impl Action {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "VIEW",
            Self::Buy => "BUY",
        }
    }
}

/// A user tag as numbers; [`Stream`] has the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Its number in the stream.
    pub number: u32,
    /// A whole second's time is sent without a fraction.
    pub short_time: bool,
    /// Number of the cookie.
    pub cookie: u32,
    /// Number of the country.
    pub country: u32,
    /// Number of the device.
    pub device: u32,
    /// View or buy.
    pub action: Action,
    /// Number of the origin.
    pub origin: u32,
    /// Number of the brand.
    pub brand: u32,
    /// Number of the category.
    pub category: u32,
    /// The product's id, sent as a JSON integer.
    pub product_id: i64,
    /// The price.
    pub price: i32,
}

/// A user tag as JSON has it, with the fields that the contract names and no others.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagJson<'a> {
    /// When, exactly as sent.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    /// Who.
    #[serde(borrow)]
    pub cookie: Cow<'a, str>,
    /// Where.
    #[serde(borrow)]
    pub country: Cow<'a, str>,
    /// On what.
    #[serde(borrow)]
    pub device: Cow<'a, str>,
    /// Did what.
    pub action: Action,
    /// Sent by which campaign.
    #[serde(borrow)]
    pub origin: Cow<'a, str>,
    /// With which product.
    #[serde(borrow)]
    pub product_info: ProductJson<'a>,
}

/// The product of a user tag as JSON has it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductJson<'a> {
    /// In the type and text received.
    pub product_id: serde_json::Value,
    /// Brand.
    #[serde(borrow)]
    pub brand_id: Cow<'a, str>,
    /// Category.
    #[serde(borrow)]
    pub category_id: Cow<'a, str>,
    /// Price.
    pub price: i32,
}

/// A stream: its shape and its names.
#[derive(Debug)]
pub struct Stream {
    shape: Shape,
    odd_values: u64,
    countries: Vec<String>,
    origins: Vec<String>,
    brands: Vec<String>,
    categories: Vec<String>,
}

impl Stream {
    /// The stream of this shape; `odd_values` is the percentage where the shape leaves it open.
    pub fn new(shape: Shape, odd_values: u8) -> Self {
        Self {
            odd_values: u64::from(shape.odd_values.unwrap_or(odd_values)),
            countries: (0..shape.countries).map(names::country).collect(),
            origins: (0..shape.origins).map(names::origin).collect(),
            brands: (0..shape.brands).map(names::brand).collect(),
            categories: (0..shape.categories).map(names::category).collect(),
            shape,
        }
    }

    /// The tag with this number.
    pub fn tag(&self, number: u32) -> Tag {
        let shape = &self.shape;
        let mut dice = Dice::new(shape.seed, Purpose::Tag, u64::from(number));
        let mut tag = Tag {
            number,
            cookie: dice.below_u32(shape.cookies),
            action: if dice.percent(u64::from(shape.buys)) { Action::Buy } else { Action::View },
            origin: dice.below_u32(shape.origins),
            brand: dice.below_u32(shape.brands),
            category: dice.below_u32(shape.categories),
            country: dice.below_u32(shape.countries),
            device: dice.below_u32(3),
            short_time: dice.percent(50),
            product_id: dice.between(0, PRICE_LIMIT - 1),
            price: i32::try_from(dice.between(0, PRICE_LIMIT - 1)).expect("prices are small"),
        };
        if dice.percent(self.odd_values) {
            make_odd(&mut tag, &mut dice);
        }
        tag
    }

    /// The seed and the cardinalities.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// When the tag with this number happens.
    pub fn time_ms(&self, number: u32) -> i64 {
        self.shape.start + i64::from(number)
    }

    /// The tag's time as it is sent.
    pub fn push_time(&self, text: &mut String, tag: &Tag) {
        let at_ms = self.time_ms(tag.number);
        let short = tag.short_time && at_ms % 1000 == 0;
        let precision = if short { Precision::Seconds } else { Precision::Milliseconds };
        calendar::push_instant(text, at_ms, precision);
        text.push('Z');
    }

    /// The text of a cookie.
    pub fn cookie(&self, number: u32) -> String {
        let mut text = String::with_capacity(names::COOKIE_LEN);
        names::push_cookie(&mut text, self.shape.seed, number);
        text
    }

    /// The name of an origin.
    pub fn origin(&self, number: u32) -> &str {
        &self.origins[number as usize]
    }

    /// The name of a brand.
    pub fn brand(&self, number: u32) -> &str {
        &self.brands[number as usize]
    }

    /// The name of a category.
    pub fn category(&self, number: u32) -> &str {
        &self.categories[number as usize]
    }

    /// The name of a country.
    pub fn country(&self, number: u32) -> &str {
        &self.countries[number as usize]
    }

    /// Appends the tag as the JSON object that is posted.
    pub fn push_json(&self, text: &mut String, tag: &Tag) {
        text.push_str(r#"{"time":""#);
        self.push_time(text, tag);
        text.push_str(r#"","cookie":""#);
        names::push_cookie(text, self.shape.seed, tag.cookie);
        push_field(text, "country", self.country(tag.country));
        push_field(text, "device", names::device(tag.device));
        push_field(text, "action", tag.action.as_str());
        push_field(text, "origin", self.origin(tag.origin));
        write!(text, r#"","product_info":{{"product_id":{}"#, tag.product_id)
            .expect("writing to a string cannot fail");
        text.push_str(r#","brand_id":""#);
        push_escaped(text, self.brand(tag.brand));
        push_field(text, "category_id", self.category(tag.category));
        write!(text, r#"","price":{}}}}}"#, tag.price).expect("writing to a string cannot fail");
    }

    /// True when the answered object is this tag: every field, `time` to the letter, `product_id` in its type.
    pub fn is_same(&self, tag: &Tag, answered: &TagJson<'_>) -> bool {
        let product = &answered.product_info;
        let mut time = String::with_capacity(24);
        self.push_time(&mut time, tag);
        answered.time == time
            && answered.action == tag.action
            && answered.cookie == self.cookie(tag.cookie)
            && answered.country == self.country(tag.country)
            && answered.device == names::device(tag.device)
            && answered.origin == self.origin(tag.origin)
            && product.product_id.as_i64() == Some(tag.product_id)
            && product.brand_id == self.brand(tag.brand)
            && product.category_id == self.category(tag.category)
            && product.price == tag.price
    }
}

/// The stream's minute that holds the tag with this number. Minutes are counted from the stream's start, which is on a
/// whole minute.
pub fn minute_of(number: u32) -> u32 {
    number / u32::try_from(MINUTE_MS).expect("a minute is short")
}

fn make_odd(tag: &mut Tag, dice: &mut Dice) {
    match dice.below(8) {
        0 => tag.price = 0,
        1 => tag.price = i32::MIN,
        2 => tag.price = i32::MAX,
        3 => tag.product_id = 0,
        4 => tag.product_id = -tag.product_id,
        5 => tag.product_id = i64::MAX - tag.product_id,
        _ => tag.price = -tag.price,
    }
}

fn push_field(text: &mut String, name: &str, value: &str) {
    text.push_str("\",\"");
    text.push_str(name);
    text.push_str("\":\"");
    push_escaped(text, value);
}

/// Our names hold no control characters; the quotation mark is all there is to escape.
fn push_escaped(text: &mut String, value: &str) {
    for letter in value.chars() {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
}

fn start_ms(text: &str) -> Result<i64, String> {
    let at_ms = calendar::parse_instant(text).ok_or("expected an instant such as 2022-03-01T00:00:00")?;
    if at_ms % MINUTE_MS == 0 { Ok(at_ms) } else { Err("must be on a whole minute".to_owned()) }
}

fn cardinality() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_NAMES))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream() -> Stream {
        Stream::new(Shape::default(), 1)
    }

    #[test]
    fn the_first_tag_of_a_seed_never_changes() {
        let mut text = String::new();
        stream().push_json(&mut text, &stream().tag(0));
        assert!(text.starts_with(r#"{"time":"2022-03-01T00:00:00"#), "{text}");
        assert_eq!(text, include_str!("../tests/first_tag.json").trim_end());
    }

    #[test]
    fn values_are_spread_as_asked() {
        let stream = stream();
        let tags: Vec<Tag> = (0..100_000).map(|number| stream.tag(number)).collect();
        let buys = tags.iter().filter(|tag| tag.action == Action::Buy).count();
        assert!((9_500..10_500).contains(&buys), "{buys}");
        assert!(tags.iter().any(|tag| tag.price < 0) && tags.iter().any(|tag| tag.price == i32::MAX));
        assert!(tags.iter().any(|tag| tag.product_id == 0) && tags.iter().any(|tag| tag.product_id < 0));
        assert!((0..1000).all(|origin| tags.iter().any(|tag| tag.origin == origin)));
    }

    #[test]
    fn whole_seconds_sometimes_have_no_fraction() {
        let stream = stream();
        let short = (0..200)
            .filter(|second| {
                let mut text = String::new();
                stream.push_time(&mut text, &stream.tag(second * 1000));
                !text.contains('.')
            })
            .count();
        assert!((50..150).contains(&short), "{short}");
    }

    proptest! {
        #[test]
        fn a_tag_is_the_same_after_a_way_through_json(seed: u64, number in 0..MAX_TAGS) {
            let stream = Stream::new(Shape { seed, ..Shape::default() }, 50);
            let tag = stream.tag(number);
            let mut text = String::new();
            stream.push_json(&mut text, &tag);
            let answered: TagJson<'_> = serde_json::from_str(&text).unwrap();
            prop_assert!(stream.is_same(&tag, &answered));
            let other = stream.tag(number.wrapping_add(1));
            prop_assert!(!stream.is_same(&other, &answered));
        }
    }
}
