//! What a refused event says of its refusal: the attributes that KafkaSource gives it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloudevents::Event;
use cloudevents::event::ExtensionValue;

use crate::verdict::Refusal;

/// Who refused it: a URL.
const DESTINATION: &str = "knativeerrordest";
/// With which status.
const CODE: &str = "knativeerrorcode";
/// And what it said, in base64.
const DATA: &str = "knativeerrordata";
/// What an event has of its own; a reason must not replace it.
const OWN: [&str; 12] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "data",
    DESTINATION,
    CODE,
    DATA,
];

/// The event, and why it is here.
pub(crate) fn dead_letter(event: Event, destination: &str, refusal: &Refusal) -> Event {
    let mut event = event;
    for (name, value) in refusal.reasons.iter().filter(|(name, _)| is_free(name)) {
        event.set_extension(name, ExtensionValue::String(value.clone()));
    }
    event.set_extension(DESTINATION, ExtensionValue::String(destination.to_owned()));
    if let Some(code) = refusal.code {
        event.set_extension(CODE, ExtensionValue::Integer(code.as_u16().into()));
    }
    event.set_extension(DATA, ExtensionValue::String(BASE64_STANDARD.encode(&refusal.data)));
    event
}

/// Whether this may be the name of an extension.
fn is_free(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && !OWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use cloudevents::{AttributesReader, EventBuilder, EventBuilderV10};
    use http::StatusCode;

    use super::*;

    #[test]
    fn an_event_stays_what_it_was_and_says_why() {
        let event = EventBuilderV10::new().id("1").source("/s").ty("t").extension("partitionkey", "k");
        let event = event.data("text/plain", "data").build().unwrap();
        let reasons = [("reason", "no price"), ("id", "2"), ("a-b", "c"), ("knativeerrorcode", "0")];
        let refusal = Refusal {
            code: Some(StatusCode::BAD_REQUEST),
            data: "no".into(),
            reasons: reasons.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Refusal::default()
        };
        let letter = dead_letter(event.clone(), "http://worker", &refusal);
        assert_eq!((letter.id(), letter.data()), (event.id(), event.data()));
        let mut extensions: Vec<_> =
            letter.iter_extensions().map(|(name, value)| (name, value.to_string())).collect();
        extensions.sort();
        let expected = [
            ("knativeerrorcode", "400"),
            ("knativeerrordata", "bm8="),
            ("knativeerrordest", "http://worker"),
            ("partitionkey", "k"),
            ("reason", "no price"),
        ];
        assert_eq!(extensions, expected.map(|(name, value)| (name, value.to_owned())));
    }
}
