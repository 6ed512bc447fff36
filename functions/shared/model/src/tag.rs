//! The user tag: parsed strictly from JSON, rendered as it was received.

use std::borrow::Cow;

use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{FieldError, Object, TagTime};

/// The longest name (cookie, country, origin, product, brand, category) in bytes of UTF-8: far beyond any real one, and
/// small enough that one tag cannot fill a batch.
pub const MAX_NAME_BYTES: usize = 64 * 1024;

/// What one shopper did at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTag {
    /// When.
    pub time: TagTime,
    /// Who.
    pub cookie: Cookie,
    /// Where from.
    pub country: String,
    /// On what.
    pub device: Device,
    /// What they did.
    pub action: Action,
    /// What brought them.
    pub origin: String,
    /// To which product.
    pub product: ProductInfo,
}

/// The product of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductInfo {
    /// Its id, in the type and text received.
    pub product_id: ProductId,
    /// Its brand.
    pub brand: String,
    /// Its category.
    pub category: String,
    /// Its price: any int32.
    pub price: i32,
}

/// A shopper.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cookie(pub String);

/// A product's id: documented as a string, sent as an integer, answered in the type and text received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProductId {
    /// An integer that 64 bits hold.
    Integer(i64),
    /// Any other JSON integer (`-0`, or one beyond 64 bits), as its text.
    LongInteger(String),
    /// A string.
    Text(String),
}

/// What a shopper does with a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", try_from = "Cow<'_, str>")]
pub enum Action {
    /// Looks at it.
    View,
    /// Buys it.
    Buy,
}

/// What a shopper uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", try_from = "Cow<'_, str>")]
pub enum Device {
    /// A computer.
    Pc,
    /// A phone.
    Mobile,
    /// A television.
    Tv,
}

impl Action {
    /// Both.
    pub const ALL: [Self; 2] = [Self::View, Self::Buy];

    /// As the contract spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "VIEW",
            Self::Buy => "BUY",
        }
    }

    /// The action of that name, in capitals or not.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| text.eq_ignore_ascii_case(action.as_str()))
    }

    /// The one byte that stands for it in stored keys; never changes.
    pub const fn code(self) -> u8 {
        match self {
            Self::View => 0,
            Self::Buy => 1,
        }
    }

    /// The action of that byte.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::View),
            1 => Some(Self::Buy),
            _ => None,
        }
    }
}

impl TryFrom<Cow<'_, str>> for Action {
    type Error = &'static str;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or("must be VIEW or BUY")
    }
}

impl Device {
    /// All.
    pub const ALL: [Self; 3] = [Self::Pc, Self::Mobile, Self::Tv];

    /// As the contract spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pc => "PC",
            Self::Mobile => "MOBILE",
            Self::Tv => "TV",
        }
    }

    /// The two bits that stand for it in stored bytes; never change.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pc => 0,
            Self::Mobile => 1,
            Self::Tv => 2,
        }
    }

    /// The device of those bits.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Pc),
            1 => Some(Self::Mobile),
            2 => Some(Self::Tv),
            _ => None,
        }
    }
}

impl TryFrom<Cow<'_, str>> for Device {
    type Error = &'static str;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|device| device.as_str() == text).ok_or("must be PC, MOBILE or TV")
    }
}

impl UserTag {
    /// A tag from its JSON text. Unknown fields are ignored; a missing, repeated or wrong one is named.
    pub fn from_json(text: &[u8]) -> Result<Self, FieldError> {
        Object::<WireTag<'_>>::parse(text)?.check()
    }

    /// Bytes that are equal for equal tags only: every field with its length, in the contract's order.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.instant().to_ordered_bytes());
        out.extend_from_slice(&self.time.sub_ms_nanos().to_be_bytes());
        out.extend_from_slice(&[self.time.fraction_digits(), self.device.code(), self.action.code()]);
        let (kind, id): (u8, Cow<'_, str>) = match &self.product.product_id {
            ProductId::Integer(id) => (0, id.to_string().into()),
            ProductId::LongInteger(id) => (0, id.into()),
            ProductId::Text(id) => (1, id.into()),
        };
        out.push(kind);
        out.extend_from_slice(&self.product.price.to_be_bytes());
        for name in
            [&self.cookie.0, &self.country, &self.origin, &*id, &self.product.brand, &self.product.category]
        {
            out.extend_from_slice(&(name.len() as u64).to_be_bytes());
            out.extend_from_slice(name.as_bytes());
        }
    }
}

/// The text of a tag as it arrives.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
pub(crate) struct WireTag<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    cookie: Cow<'a, str>,
    #[serde(borrow)]
    country: Cow<'a, str>,
    device: Device,
    action: Action,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow)]
    product_info: Object<WireProduct<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct WireProduct<'a> {
    #[serde(borrow)]
    product_id: &'a RawValue,
    #[serde(borrow)]
    brand_id: Cow<'a, str>,
    #[serde(borrow)]
    category_id: Cow<'a, str>,
    price: i32,
}

impl WireTag<'_> {
    pub(crate) fn check(self) -> Result<UserTag, FieldError> {
        let time = TagTime::parse(&self.time).ok_or_else(|| {
            FieldError::new(
                "time",
                "must be a time of UTC as 2022-03-22T12:15:00.000Z, with at most 9 fraction digits",
            )
        })?;
        let Object(product) = self.product_info;
        Ok(UserTag {
            time,
            cookie: Cookie(name("cookie", self.cookie)?),
            country: name("country", self.country)?,
            device: self.device,
            action: self.action,
            origin: name("origin", self.origin)?,
            product: ProductInfo {
                product_id: ProductId::parse(product.product_id)?,
                brand: name("product_info.brand_id", product.brand_id)?,
                category: name("product_info.category_id", product.category_id)?,
                price: product.price,
            },
        })
    }
}

impl ProductId {
    fn parse(raw: &RawValue) -> Result<Self, FieldError> {
        const FIELD: &str = "product_info.product_id";
        let text = raw.get();
        if text.starts_with('"') {
            let id: Cow<'_, str> =
                serde_json::from_str(text).map_err(|cause| FieldError::new(FIELD, cause.to_string()))?;
            return Ok(Self::Text(name(FIELD, id)?));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FieldError::new(FIELD, "must be a string or an integer"));
        }
        match text.parse::<i64>() {
            Ok(id) if text != "-0" => Ok(Self::Integer(id)),
            _ => Ok(Self::LongInteger(name(FIELD, text.into())?)),
        }
    }
}

fn name(field: &str, value: Cow<'_, str>) -> Result<String, FieldError> {
    if value.len() > MAX_NAME_BYTES {
        return Err(FieldError::new(field, format!("must not be longer than {MAX_NAME_BYTES} bytes")));
    }
    Ok(value.into_owned())
}

impl Serialize for UserTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tag = serializer.serialize_struct("UserTag", 7)?;
        tag.serialize_field("time", &Rendered(self.time))?;
        tag.serialize_field("cookie", &self.cookie.0)?;
        tag.serialize_field("country", &self.country)?;
        tag.serialize_field("device", &self.device)?;
        tag.serialize_field("action", &self.action)?;
        tag.serialize_field("origin", &self.origin)?;
        tag.serialize_field("product_info", &self.product)?;
        tag.end()
    }
}

impl Serialize for ProductInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut product = serializer.serialize_struct("ProductInfo", 4)?;
        product.serialize_field("product_id", &self.product_id)?;
        product.serialize_field("brand_id", &self.brand)?;
        product.serialize_field("category_id", &self.category)?;
        product.serialize_field("price", &self.price)?;
        product.end()
    }
}

impl Serialize for ProductId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(id) => serializer.serialize_i64(*id),
            Self::LongInteger(id) => {
                RawValue::from_string(id.clone()).map_err(S::Error::custom)?.serialize(serializer)
            }
            Self::Text(id) => serializer.serialize_str(id),
        }
    }
}

struct Rendered(TagTime);

impl Serialize for Rendered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{"time":"2022-03-22T12:15:00.000Z","cookie":"9WkYGxkiXBfpMIjBGURC","country":"CL","device":"PC","action":"VIEW","origin":"CAMPAIGN_321","product_info":{"product_id":12486,"brand_id":"Ebros_Gift","category_id":"Trousers","price":28969}}"#;

    fn with(from: &str, to: &str) -> String {
        assert!(EXAMPLE.contains(from), "{from}");
        EXAMPLE.replace(from, to)
    }

    fn again(text: &str) -> String {
        serde_json::to_string(&UserTag::from_json(text.as_bytes()).expect(text)).unwrap()
    }

    fn refusal(text: &str) -> FieldError {
        UserTag::from_json(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn is_answered_as_it_was_received() {
        assert_eq!(again(EXAMPLE), EXAMPLE);
        for (from, to) in [
            ("12486", "0"),
            ("12486", "-1"),
            ("12486", "-0"),
            ("12486", r#""12486""#),
            ("12486", r#""""#),
            ("12486", "123456789012345678901234567890"),
            ("12486", r#""a\u0000b\"c""#),
            ("28969", "-2147483648"),
            ("28969", "2147483647"),
            ("00.000Z", "00Z"),
            ("00.000Z", "00.123456789Z"),
            ("00.000Z", "00.1Z"),
            ("CAMPAIGN_321", ""),
            ("CAMPAIGN_321", "żółć_\u{202e}"),
            ("2022-03", "9999-12"),
        ] {
            let text = with(from, to);
            assert_eq!(again(&text), text);
        }
    }

    #[test]
    fn ignores_unknown_fields_and_order() {
        let text = with(r#""cookie":"#, r#""identity":[{"a":1}],"price":"x","cookie":"#);
        assert_eq!(again(&text), EXAMPLE);
        let turned = r#"{"product_info":{"price":28969,"category_id":"Trousers","brand_id":"Ebros_Gift","product_id":12486},"origin":"CAMPAIGN_321","action":"VIEW","device":"PC","country":"CL","cookie":"9WkYGxkiXBfpMIjBGURC","time":"2022-03-22T12:15:00.000Z"}"#;
        assert_eq!(again(turned), EXAMPLE);
    }

    #[test]
    fn names_the_field_at_fault() {
        for (from, to, field) in [
            (r#""cookie":"9WkYGxkiXBfpMIjBGURC","#, "", "cookie"),
            (r#","price":28969"#, "", "product_info.price"),
            (r#""country":"CL","#, r#""country":"CL","country":"CL","#, ""),
            ("28969", "2147483648", "product_info.price"),
            ("28969", "1.0", "product_info.price"),
            ("28969", "1e3", "product_info.price"),
            ("28969", r#""1""#, "product_info.price"),
            ("28969", "null", "product_info.price"),
            ("12486", "1.5", "product_info.product_id"),
            ("12486", "1e3", "product_info.product_id"),
            ("12486", "null", "product_info.product_id"),
            ("12486", "{}", "product_info.product_id"),
            (r#""PC""#, r#""pc""#, "device"),
            (r#""PC""#, r#"{"PC":null}"#, "device"),
            (r#""VIEW""#, r#""LOOK""#, "action"),
            (
                r#"{"product_id":12486,"brand_id":"Ebros_Gift","category_id":"Trousers","price":28969}"#,
                r#"[12486,"b","c",1]"#,
                "product_info",
            ),
            (r#"{"product_id""#, r#"{"#, "product_info"),
            (r#""CL""#, "7", "country"),
            ("12:15:00.000Z", "12:15:00.000", "time"),
            ("9WkYGxkiXBfpMIjBGURC", r"\ud800", "cookie"),
        ] {
            assert_eq!(refusal(&with(from, to)).field, field, "{from} -> {to}");
        }
        assert_eq!(refusal("").field, "");
        assert_eq!(refusal("{").field, "");
        let list = refusal(&format!("[{EXAMPLE}]"));
        assert_eq!(
            list,
            FieldError::new("", "invalid type: sequence, expected a JSON object at line 1 column 0")
        );
        assert_eq!(refusal("[]").field, "");
        assert_eq!(refusal(&format!("{EXAMPLE}{EXAMPLE}")).field, "");
        assert_eq!(refusal(&with("CL", "\u{1}")).field, "country");
    }

    #[test]
    fn survives_hostile_texts() {
        refusal(&"[".repeat(100_000));
        refusal(&with("12486", &"[".repeat(100_000)));
        refusal(&with("12486", &format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000))));
        assert!(UserTag::from_json(b"\xff\xfe{}").is_err());
        assert!(UserTag::from_json(with("CL", "X").replace('X', "\u{0}").as_bytes()).is_err());
        let long = "x".repeat(MAX_NAME_BYTES);
        assert_eq!(again(&with("CL", &long)), with("CL", &long));
        assert_eq!(refusal(&with("CL", &format!("{long}x"))).field, "country");
        assert_eq!(refusal(&with("12486", &"1".repeat(MAX_NAME_BYTES + 1))).field, "product_info.product_id");
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let at = EXAMPLE.find("Trousers").unwrap();
        bytes[at] = 0xff;
        assert!(UserTag::from_json(&bytes).is_err());
    }

    #[test]
    fn canonical_bytes_tell_tags_apart() {
        let canonical = |text: &str| {
            let mut out = Vec::new();
            UserTag::from_json(text.as_bytes()).unwrap().write_canonical(&mut out);
            out
        };
        assert_eq!(canonical(EXAMPLE), canonical(&with("{\"time\"", "{ \"time\"")));
        for (from, to) in [
            ("12486", r#""12486""#),
            ("00.000Z", "00Z"),
            ("\"CL\"", "\"C\""),
            ("BGURC", "BGURCC"),
            ("28969", "28968"),
        ] {
            assert_ne!(canonical(EXAMPLE), canonical(&with(from, to)));
        }
    }
}
