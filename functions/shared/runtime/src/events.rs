//! CloudEvents in and out of HTTP.
//!
//! The SDK reads the attributes. The data of a structured event is cut out of its envelope first and handed on as the
//! bytes that stood there: read as a JSON value, an integer beyond 64 bits would become a float, and -0 lose its sign.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cloudevents::binding::http::to_event;
use cloudevents::event::{ExtensionValue, SpecVersion};
use cloudevents::{AttributesReader, AttributesWriter, Data, Event};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::value::RawValue;

use crate::error::chain;
use crate::outgoing::{Answer, Outgoing};

const JSON: &str = "application/json";
const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// How a request carries an event, seen from its headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is no event.
    None,
    /// Attributes in headers.
    Binary,
    /// Everything in one JSON object.
    Structured,
    /// Many events, or a format beyond JSON: not taken.
    Foreign,
}

impl Mode {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        match after_prefix(content_type, b"application/cloudevents") {
            Some(rest) if is_json_format(rest) => Self::Structured,
            Some(_) => Self::Foreign,
            None if headers.contains_key(SPEC_VERSION) => Self::Binary,
            None => Self::None,
        }
    }
}

/// The event in a request of this mode, or what is wrong with it.
pub(crate) fn decode(mode: Mode, headers: &HeaderMap, body: &Bytes) -> Result<Event, String> {
    let event = match mode {
        Mode::Structured => structured(body)?,
        _ => to_event(headers, body.to_vec()).map_err(|error| chain(&error))?,
    };
    if event.specversion() != SpecVersion::V10 {
        return Err("specversion is not 1.0".to_owned());
    }
    for (name, value) in [("id", event.id()), ("source", event.source()), ("type", event.ty())] {
        if value.is_empty() {
            return Err(format!("{name} is empty"));
        }
    }
    Ok(event)
}

/// Writes the answers to events as events of their own. Their ids are unique to this start of the process.
#[derive(Debug)]
pub(crate) struct Answers {
    started: u64,
    count: AtomicU64,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The process id tells instances apart that start at once on one machine.
        let started = since_1970.as_micros() as u64 ^ u64::from(std::process::id()).rotate_right(20);
        Self { started, count: AtomicU64::new(0) }
    }

    /// The answer in binary mode, in the name of the function of this source.
    pub(crate) fn encode(&self, json: Bytes, event_type: &'static str, source: &HeaderValue) -> Answer {
        let id = format!("{:016x}-{}", self.started, self.count.fetch_add(1, Ordering::Relaxed));
        let mut response = Response::new(Outgoing::whole(json));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(SPEC_VERSION, HeaderValue::from_static("1.0"));
        headers.insert("ce-id", HeaderValue::try_from(id).expect("digits are a header value"));
        headers.insert("ce-source", source.clone());
        headers.insert("ce-type", HeaderValue::from_static(event_type));
        response
    }
}

/// The value of an extension attribute, if it is a string.
pub(crate) fn extension<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    match event.extension(name)? {
        ExtensionValue::String(text) => Some(text),
        _ => None,
    }
}

fn structured(body: &[u8]) -> Result<Event, String> {
    let mut envelope: BTreeMap<String, &RawValue> =
        serde_json::from_slice(body).map_err(|error| format!("not a structured event: {error}"))?;
    let data = envelope.remove("data").filter(|data| data.get() != "null");
    let base64 = envelope.get("data_base64").is_some_and(|data| data.get() != "null");
    if data.is_some() && base64 {
        return Err("both data and data_base64".to_owned());
    }
    // A content type that is not JSON keeps the SDK from parsing the decoded bytes; the true one is put back below.
    let octets = RawValue::from_string("\"application/octet-stream\"".to_owned()).expect("a JSON string");
    let declared = envelope.insert("datacontenttype".to_owned(), &octets);
    let content_type =
        declared.map(|raw| parsed::<Option<String>>("datacontenttype", raw)).transpose()?.flatten();
    let attributes = serde_json::to_vec(&envelope).expect("raw JSON is JSON");
    let mut event: Event = serde_json::from_slice(&attributes).map_err(|error| error.to_string())?;
    event.set_datacontenttype(content_type.clone());
    if let Some(raw) = data {
        let content_type = content_type.unwrap_or_else(|| JSON.to_owned());
        let data = data_of(&content_type, raw)?;
        event.set_data(content_type, data);
    }
    Ok(event)
}

/// By the JSON format: of a content type that is JSON, the value as it stands; of another one, the text in a string.
fn data_of(content_type: &str, raw: &RawValue) -> Result<Data, String> {
    let is_text = raw.get().starts_with('"') && !is_json(content_type);
    if is_text {
        return parsed::<String>("data", raw).map(Data::String);
    }
    Ok(Data::Binary(raw.get().as_bytes().to_vec()))
}

fn parsed<'r, T: serde::Deserialize<'r>>(name: &str, raw: &'r RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("{name}: {error}"))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == JSON || essence == "text/json" || essence.ends_with("+json")
}

fn is_json_format(rest: &[u8]) -> bool {
    after_prefix(rest, b"+json").is_some_and(|rest| matches!(rest.first(), None | Some(b';' | b' ' | b'\t')))
}

fn after_prefix<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&str, &[u8])| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        pairs.iter().filter_map(pair).collect()
    }

    #[test]
    fn the_mode_is_told_by_the_headers() {
        for (content_type, has_version, expected) in [
            ("application/cloudevents+json", false, Mode::Structured),
            ("Application/CloudEvents+JSON; charset=utf-8", true, Mode::Structured),
            ("application/cloudevents-batch+json", false, Mode::Foreign),
            ("application/cloudevents+jsonx", false, Mode::Foreign),
            ("application/cloudevents", true, Mode::Foreign),
            ("application/json", true, Mode::Binary),
            ("application/json", false, Mode::None),
            ("application/cloud", false, Mode::None),
        ] {
            let mut headers = headers(&[("content-type", content_type.as_bytes())]);
            if has_version {
                headers.insert(SPEC_VERSION, HeaderValue::from_static("1.0"));
            }
            assert_eq!(Mode::of(&headers), expected, "{content_type}");
        }
        assert_eq!(Mode::of(&HeaderMap::new()), Mode::None);
    }

    #[test]
    fn text_that_is_not_json_is_taken_out_of_its_string() {
        let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t",
            "datacontenttype":"text/plain","data":"a\nb"}"#;
        let event = decode(Mode::Structured, &HeaderMap::new(), &Bytes::from(body)).expect("an event");
        assert_eq!(event.data(), Some(&Data::String("a\nb".to_owned())));
        assert_eq!(event.datacontenttype(), Some("text/plain"));
    }

    #[test]
    fn extensions_reach_the_event() {
        let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","traceparent":"00-1","n":5}"#;
        let event = decode(Mode::Structured, &HeaderMap::new(), &Bytes::from(body)).expect("an event");
        assert_eq!(extension(&event, "traceparent"), Some("00-1"));
        assert_eq!(extension(&event, "n"), None);
    }

    proptest! {
        #[test]
        fn no_headers_and_no_body_make_it_panic(
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 8),
            body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let names = ["ce-id", "ce-source", "ce-type", "ce-time", "ce-dataschema", "ce-x", "ce-", "content-type"];
            let pairs: Vec<(&str, &[u8])> = names.into_iter().zip(values.iter().map(Vec::as_slice)).collect();
            for version in ["1.0", "0.3", "x"] {
                let mut headers = headers(&pairs);
                headers.insert(SPEC_VERSION, HeaderValue::from_static(version));
                let _ = decode(Mode::Binary, &headers, &Bytes::from(body.clone()));
            }
            let _ = decode(Mode::Structured, &HeaderMap::new(), &Bytes::from(body));
        }

        #[test]
        fn any_value_of_any_attribute_is_taken_or_refused(
            name in "(specversion|id|source|type|time|subject|dataschema|datacontenttype|data|data_base64|x)",
            value in r#"(null|true|-?[0-9]{1,30}|"[ -!#-\[\]-~]{0,20}"|\[\]|\{"a":1\})"#,
        ) {
            let body = format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","{name}":{value}}}"#
            );
            let _ = decode(Mode::Structured, &HeaderMap::new(), &Bytes::from(body));
        }
    }
}
