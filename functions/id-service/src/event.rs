//! What is asked of the id-service, and what it answers: the contract's JSON, in HTTP bodies and in events' data.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use cloudevents::AttributesReader;
use function::{Call, Failure, Refused, Reply, Route};
use model::batch::data_bytes;
use model::{Collection, MAX_ELEMENT_BYTES, NameNumber};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::name_log::MAX_COLLECTION_BYTES;

/// The contract: the most elements or ids in a call.
pub const MAX_PER_CALL: usize = 10_000;
/// The longest body: the most elements at their longest, each in quotes and with a comma, and what is around them. An
/// element that JSON writes longer than it is (`\u0000`) takes more of it; so many of them need two calls.
pub const MAX_BODY_BYTES: usize = MAX_PER_CALL * (MAX_ELEMENT_BYTES + 3) + 16 * 1024;

/// The plain HTTP routes.
pub(crate) const ROUTES: [Route; 3] = [
    Route { method: "POST", path: "/get_id" },
    Route { method: "POST", path: "/get_ids" },
    Route { method: "POST", path: "/get_elements" },
];
/// The types of the events that ask; their data is the body of the route of the same name.
pub const ASKED: [&str; 3] = [
    "com.allezon.id-service.get_id",
    "com.allezon.id-service.get_ids",
    "com.allezon.id-service.get_elements",
];
/// The types of the events that answer, in the same order.
pub const ANSWERED: [&str; 3] =
    ["com.allezon.id-service.id", "com.allezon.id-service.ids", "com.allezon.id-service.elements"];

/// A question, complete and within all limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question<'a> {
    /// The number of one element.
    Id { collection: Collection, element: Cow<'a, str>, create_missing: bool },
    /// The numbers of elements.
    Ids { collection: Collection, elements: Vec<Cow<'a, str>>, create_missing: bool },
    /// The elements of numbers; `None` is an integer that nothing has for a number.
    Elements { collection: Collection, ids: Vec<Option<NameNumber>> },
}

/// An answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Id(u32),
    Ids(Vec<Option<u32>>),
    Elements(Vec<Option<String>>),
}

/// Which of the three a call is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Id,
    Ids,
    Elements,
}

#[derive(Deserialize)]
struct GetId<'a> {
    #[serde(borrow)]
    collection_name: Cow<'a, str>,
    #[serde(borrow)]
    element: Cow<'a, str>,
    create_missing: bool,
}

#[derive(Deserialize)]
struct GetIds<'a> {
    #[serde(borrow)]
    collection_name: Cow<'a, str>,
    #[serde(borrow)]
    elements: Items<Text<'a>>,
    create_missing: bool,
}

#[derive(Deserialize)]
struct GetElements<'a> {
    #[serde(borrow)]
    collection_name: Cow<'a, str>,
    #[serde(borrow)]
    ids: Items<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A list whose items beyond the limit are counted and not kept.
struct Items<T> {
    kept: Vec<T>,
    count: usize,
}

impl<'a> Question<'a> {
    /// What is asked in this text, which [`text`] took from this call.
    pub(crate) fn decode(call: &Call, text: &'a [u8]) -> Result<Self, Failure> {
        match Kind::of(call)? {
            Kind::Id => {
                let GetId { collection_name, element, create_missing } = parse(text)?;
                let element = short(|| "element".into(), element, MAX_ELEMENT_BYTES)?;
                Ok(Self::Id { collection: collection(collection_name)?, element, create_missing })
            }
            Kind::Ids => {
                let GetIds { collection_name, elements, create_missing } = parse(text)?;
                let elements = elements.within_limit("elements")?.into_iter().enumerate();
                let element = |(index, Text(element))| {
                    short(|| format!("elements[{index}]").into(), element, MAX_ELEMENT_BYTES)
                };
                let elements = elements.map(element).collect::<Result<_, _>>()?;
                Ok(Self::Ids { collection: collection(collection_name)?, elements, create_missing })
            }
            Kind::Elements => {
                let GetElements { collection_name, ids } = parse(text)?;
                let ids = ids.within_limit("ids")?.into_iter().enumerate();
                let ids = ids.map(|(index, raw)| id(index, raw.get())).collect::<Result<_, _>>()?;
                Ok(Self::Elements { collection: collection(collection_name)?, ids })
            }
        }
    }
}

impl Answer {
    /// As the function's reply.
    pub(crate) fn encode(&self) -> Reply {
        let json = Bytes::from(serde_json::to_vec(self).expect("strings and numbers are JSON"));
        let [id, ids, elements] = ANSWERED;
        let event_type = match self {
            Self::Id(_) => id,
            Self::Ids(_) => ids,
            Self::Elements(_) => elements,
        };
        Reply::Answer { json, event_type }
    }
}

/// The JSON text of a call.
pub(crate) fn text(call: &Call) -> Cow<'_, [u8]> {
    match call {
        Call::Http(request) => Cow::Borrowed(&request.body),
        Call::Event(event) => data_bytes(event),
    }
}

impl Kind {
    const ALL: [Self; 3] = [Self::Id, Self::Ids, Self::Elements];

    fn of(call: &Call) -> Result<Self, Failure> {
        let (index, what) = match call {
            Call::Http(request) => {
                (ROUTES.iter().position(|route| route.path == request.route), request.route)
            }
            Call::Event(event) => (ASKED.iter().position(|asked| *asked == event.ty()), event.ty()),
        };
        index.map(|index| Self::ALL[index]).ok_or_else(|| {
            let reason = format!("{what} is none of {}", ASKED.join(", "));
            Failure::refused(Refused::Unsupported, Some("type".into()), reason)
        })
    }
}

fn collection(name: Cow<'_, str>) -> Result<Collection, Failure> {
    let name = short(|| "collection_name".into(), name, MAX_COLLECTION_BYTES)?;
    Ok(Collection::new(name))
}

fn short<'a>(
    field: impl FnOnce() -> Cow<'static, str>,
    value: Cow<'a, str>,
    max_bytes: usize,
) -> Result<Cow<'a, str>, Failure> {
    if value.len() > max_bytes {
        let reason = format!("must not be longer than {max_bytes} bytes");
        return Err(Failure::refused(Refused::TooLarge, Some(field()), reason));
    }
    Ok(value)
}

/// Any JSON integer, of which those that no name can have are `None`.
fn id(index: usize, text: &str) -> Result<Option<NameNumber>, Failure> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::malformed(format!("ids[{index}]"), "must be an integer"));
    }
    Ok(text.parse().ok().and_then(NameNumber::new))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|_| explain::<T>(text))
}

/// Parses once more what failed, this time noting where: the common case pays nothing for it.
fn explain<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Failure {
    let mut json = serde_json::Deserializer::from_slice(text);
    let Err(failed) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
        return Failure::malformed("body", "must be one JSON object with nothing behind it");
    };
    let reason = failed.inner().to_string();
    let missing = reason.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`'));
    match (missing, failed.path().to_string()) {
        (Some((field, _)), _) => Failure::malformed(field.to_owned(), "is missing"),
        (None, path) if path == "." => Failure::malformed("body", reason),
        (None, path) => Failure::malformed(path, reason),
    }
}

impl<T> Items<T> {
    fn within_limit(self, field: &'static str) -> Result<Vec<T>, Failure> {
        if self.count > MAX_PER_CALL {
            let reason = format!("has {} items; at most {MAX_PER_CALL} are taken", self.count);
            return Err(Failure::refused(Refused::TooLarge, Some(field.into()), reason));
        }
        Ok(self.kept)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Keeping(PhantomData))
    }
}

struct Keeping<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Keeping<T> {
    type Value = Items<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_PER_CALL {
            match list.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(Items { count: kept.len(), kept }),
            }
        }
        let mut count = kept.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Items { kept, count })
    }
}
