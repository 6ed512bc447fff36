//! What is asked of the id-service, and what it answers: the contract's JSON, in HTTP bodies and in events' data.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use cloudevents::AttributesReader;
use function::{Call, Failure, Refused, Reply, Route};
use model::batch::data_bytes;
use model::{Collection, FieldError, MAX_ELEMENT_BYTES, NameNumber, Object};
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
    Route::public("POST", "/get_id"),
    Route::public("POST", "/get_ids"),
    Route::public("POST", "/get_elements"),
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
#[serde(expecting = "a JSON object")]
struct GetId<'a> {
    #[serde(borrow)]
    collection_name: Cow<'a, str>,
    #[serde(borrow)]
    element: Cow<'a, str>,
    create_missing: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct GetIds<'a> {
    #[serde(borrow)]
    collection_name: Cow<'a, str>,
    #[serde(borrow)]
    elements: Items<Text<'a>>,
    create_missing: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
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
    Object::parse(text).map_err(|FieldError { field, reason }| {
        Failure::malformed(if field.is_empty() { "body".to_owned() } else { field }, reason)
    })
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

#[cfg(test)]
mod tests {
    use cloudevents::{EventBuilder, EventBuilderV10};
    use function::{Refusal, Request};
    use http::{HeaderMap, Method};
    use proptest::prelude::*;

    use super::*;

    fn request(route: &'static str, body: &str) -> Call {
        Call::Http(Request {
            method: Method::POST,
            route,
            segment: String::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn check(route: &'static str, body: &str, expected: &Question<'_>) {
        let call = request(route, body);
        let text = text(&call);
        assert_eq!(Question::decode(&call, &text).unwrap(), *expected, "{body}");
    }

    fn refusal(call: &Call) -> (Refused, String) {
        match Question::decode(call, &text(call)) {
            Err(Failure::Refused(Refusal { kind, field, .. })) => {
                (kind, field.unwrap_or_default().into_owned())
            }
            other => panic!("{call:?}: {other:?}"),
        }
    }

    fn refused(route: &'static str, body: &str, kind: Refused, field: &str) {
        assert_eq!(refusal(&request(route, body)), (kind, field.to_owned()), "{route} {body:.200}");
    }

    #[test]
    fn takes_the_three_questions_of_the_contract() {
        let collection = Collection::BRAND;
        check(
            "/get_id",
            r#"{"collection_name": "brand", "element": "Nike", "create_missing": true}"#,
            &Question::Id { collection: collection.clone(), element: "Nike".into(), create_missing: true },
        );
        check(
            "/get_ids",
            r#"{"collection_name": "brand", "elements": ["Nike", "", "\u0142\u0000"], "create_missing": false}"#,
            &Question::Ids {
                collection: collection.clone(),
                elements: vec!["Nike".into(), "".into(), "ł\0".into()],
                create_missing: false,
            },
        );
        check(
            "/get_elements",
            r#"{"ids": [1, 7, 0, -1, -0, 16777216, 16777217, 123456789012345678901234567890], "more": [], "collection_name": "brand"}"#,
            &Question::Elements {
                collection,
                ids: [1, 7, 0, 0, 0, 16_777_216, 0, 0].map(NameNumber::new).into(),
            },
        );
        check(
            "/get_ids",
            r#"{"collection_name": "", "elements": [], "create_missing": true}"#,
            &Question::Ids { collection: Collection::new(""), elements: vec![], create_missing: true },
        );
    }

    #[test]
    fn an_event_asks_by_its_type() {
        let data = r#"{"collection_name":"brand","ids":[1]}"#;
        let event = |ty: &str| {
            let event = EventBuilderV10::new().id("1").source("/x").ty(ty);
            Call::Event(Box::new(event.data("application/json", data.as_bytes().to_vec()).build().unwrap()))
        };
        let [get_id, _, get_elements] = ASKED;
        let call = event(get_elements);
        assert!(matches!(Question::decode(&call, &text(&call)), Ok(Question::Elements { .. })));
        assert_eq!(refusal(&event(get_id)), (Refused::Malformed, "element".to_owned()));
        assert_eq!(refusal(&event("com.other")), (Refused::Unsupported, "type".to_owned()));
    }

    #[test]
    fn names_the_field_at_fault() {
        const OK: &str = r#"{"collection_name":"brand","element":"Nike","create_missing":true}"#;
        for (from, to, field) in [
            (r#""collection_name":"brand","#, "", "collection_name"),
            (r#","create_missing":true"#, "", "create_missing"),
            (r#""element":"Nike","#, "", "element"),
            ("\"brand\"", "7", "collection_name"),
            ("\"Nike\"", "null", "element"),
            ("\"Nike\"", r#""\ud800""#, "element"),
            ("true", "1", "create_missing"),
            ("true", "\"true\"", "create_missing"),
            ("{", "", "body"),
            ("{", "{{", "body"),
            ("}", "}}", "body"),
            (OK, "", "body"),
            (OK, "[]", "body"),
            (OK, "null", "body"),
            ("\"brand\",", r#""brand","element":"Nike","#, "body"),
        ] {
            assert!(OK.contains(from), "{from}");
            refused("/get_id", &OK.replacen(from, to, 1), Refused::Malformed, field);
        }
        for (elements, field) in [
            (r#"["a",1]"#, "elements[1]"),
            (r#""a""#, "elements"),
            ("[null]", "elements[0]"),
            ("{}", "elements"),
        ] {
            let body = format!(r#"{{"collection_name":"b","elements":{elements},"create_missing":true}}"#);
            refused("/get_ids", &body, Refused::Malformed, field);
        }
        for (ids, field) in [
            ("[1,1.0]", "ids[1]"),
            ("[1e3]", "ids[0]"),
            (r#"["1"]"#, "ids[0]"),
            ("[null]", "ids[0]"),
            ("[[]]", "ids[0]"),
            ("[true]", "ids[0]"),
            ("1", "ids"),
        ] {
            refused(
                "/get_elements",
                &format!(r#"{{"collection_name":"b","ids":{ids}}}"#),
                Refused::Malformed,
                field,
            );
        }
    }

    #[test]
    fn refuses_what_is_too_much() {
        let longest = "x".repeat(MAX_ELEMENT_BYTES);
        let body = |element: &str, collection: &str| {
            format!(r#"{{"collection_name":"{collection}","element":"{element}","create_missing":true}}"#)
        };
        let call = request("/get_id", &body(&longest, &longest));
        assert!(Question::decode(&call, &text(&call)).is_ok());
        refused("/get_id", &body(&format!("{longest}x"), "b"), Refused::TooLarge, "element");
        refused("/get_id", &body("e", &format!("{longest}x")), Refused::TooLarge, "collection_name");
        // The limit is on what a text says, and not on how it is written.
        let escaped = r"\u0078".repeat(MAX_ELEMENT_BYTES);
        let call = request("/get_id", &body(&escaped, "b"));
        assert!(Question::decode(&call, &text(&call)).is_ok());

        let many = |item: &str, count: usize| vec![item; count].join(",");
        let ids = |count| format!(r#"{{"collection_name":"b","ids":[{}]}}"#, many("1", count));
        let call = request("/get_elements", &ids(MAX_PER_CALL));
        assert!(Question::decode(&call, &text(&call)).is_ok());
        refused("/get_elements", &ids(MAX_PER_CALL + 1), Refused::TooLarge, "ids");
        let elements =
            |list: &str| format!(r#"{{"collection_name":"b","elements":[{list}],"create_missing":true}}"#);
        refused("/get_ids", &elements(&many("\"\"", MAX_PER_CALL + 1)), Refused::TooLarge, "elements");
        refused("/get_ids", &elements(&format!(r#""a","{longest}x""#)), Refused::TooLarge, "elements[1]");
        let largest = elements(&many(&format!("\"{longest}\""), MAX_PER_CALL));
        assert!(largest.len() <= MAX_BODY_BYTES, "the largest call fits into a body");
    }

    #[test]
    fn survives_hostile_texts() {
        refused("/get_id", &"[".repeat(100_000), Refused::Malformed, "body");
        refused(
            "/get_ids",
            &format!(r#"{{"elements":{}"#, "[".repeat(100_000)),
            Refused::Malformed,
            "elements[0]",
        );
        let call = Call::Http(Request {
            body: Bytes::from_static(b"\xff\xfe"),
            ..match request("/get_id", "") {
                Call::Http(request) => request,
                Call::Event(_) => unreachable!("a request was made"),
            }
        });
        assert_eq!(refusal(&call).0, Refused::Malformed);
    }

    #[test]
    fn answers_as_the_contract_says() {
        for (answer, expected, expected_type) in [
            (Answer::Id(1), r#"{"id":1}"#, "com.allezon.id-service.id"),
            (Answer::Ids(vec![Some(1), None]), r#"{"ids":[1,null]}"#, "com.allezon.id-service.ids"),
            (
                Answer::Elements(vec![Some("N\"ł".into()), None]),
                r#"{"elements":["N\"ł",null]}"#,
                "com.allezon.id-service.elements",
            ),
        ] {
            let Reply::Answer { json, event_type } = answer.encode() else { panic!("no answer") };
            assert_eq!((&*json, event_type), (expected.as_bytes(), expected_type));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(index in 0_usize..3, text in any::<Vec<u8>>()) {
            let call = request(ROUTES[index].path, "");
            let _ = Question::decode(&call, &text);
        }
    }
}
