//! How an event lies in a record: CloudEvents' binary mode, so that KafkaSource, `kcat` and any SDK read it.
//!
//! The Kafka key and other headers are not used: they are lost where KafkaSource delivers. What was written by others is
//! read as KafkaSource reads it: binary mode, structured mode in JSON, and anything else as an event of the type
//! [`RAW_EVENT_TYPE`], so that a consumer can refuse it and nothing gets stuck.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::DateTime;
use cloudevents::event::SpecVersion;
use cloudevents::message::{
    BinaryDeserializer, BinarySerializer, MessageAttributeValue, Result, StructuredDeserializer,
    StructuredSerializer,
};
use cloudevents::{AttributesWriter, Data, Event, EventBuilder, EventBuilderV10};
use event_log::{Position, Recorded};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

/// The type of a record that is no CloudEvent.
pub(crate) const RAW_EVENT_TYPE: &str = "dev.knative.kafka.event";

const CONTENT_TYPE: &str = "content-type";
const PREFIX: &str = "ce_";
const SPEC_VERSION: &str = "ce_specversion";
const STRUCTURED: &str = "application/cloudevents+json";

/// An event as it is sent.
pub(crate) struct Written {
    pub(crate) headers: OwnedHeaders,
    pub(crate) data: Option<Vec<u8>>,
    /// Its size: data, names and values.
    pub(crate) bytes: usize,
}

impl Written {
    pub(crate) fn new(mut event: Event) -> Self {
        let (mut headers, mut bytes) = (OwnedHeaders::new(), 0);
        for (name, value) in event.iter() {
            let key =
                if name == "datacontenttype" { CONTENT_TYPE.to_owned() } else { format!("{PREFIX}{name}") };
            let value = ascii(value.to_string());
            bytes += key.len() + value.len();
            headers = headers.insert(Header { key: &key, value: Some(&value) });
        }
        let data = event.take_data().2.map(|data| match data {
            Data::Binary(bytes) => bytes,
            Data::String(text) => text.into_bytes(),
            Data::Json(value) => value.to_string().into_bytes(),
        });
        bytes += data.as_ref().map_or(0, Vec::len);
        Self { headers, data, bytes }
    }
}

/// On the next hop a value becomes a header of HTTP: what cannot stand there is percent-encoded.
fn ascii(value: String) -> String {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return value;
    }
    let mut encoded = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if matches!(byte, b' '..=b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes all");
        }
    }
    encoded
}

/// What a record holds, and where it stands.
pub(crate) fn read(message: &BorrowedMessage<'_>) -> Recorded {
    let offset = u64::try_from(message.offset()).unwrap_or_default();
    let appended_ms =
        message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
    let record = Record {
        headers: headers(message),
        payload: message.payload(),
        topic: message.topic(),
        partition: message.partition(),
        offset,
        appended_ms,
    };
    Recorded { position: Position(offset), next: Position(offset + 1), appended_ms, event: record.event() }
}

type Pairs<'a> = Vec<(&'a str, &'a [u8])>;

/// The headers with a value. None of them where a name is not even text: the library below panics there.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Pairs<'a> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let pairs = || headers.iter().filter_map(|header| Some((header.key, header.value?))).collect();
    catch_unwind(AssertUnwindSafe(pairs)).unwrap_or_default()
}

#[derive(Debug, Clone)]
struct Record<'a> {
    headers: Pairs<'a>,
    payload: Option<&'a [u8]>,
    topic: &'a str,
    partition: i32,
    offset: u64,
    appended_ms: u64,
}

impl Record<'_> {
    fn event(self) -> Event {
        let structured = self.text(CONTENT_TYPE).is_some_and(|value| value.starts_with(STRUCTURED));
        let event = if structured {
            StructuredDeserializer::into_event(self.clone()).ok()
        } else if self.text(SPEC_VERSION).is_some() && self.attributes().all(|(name, _)| is_name(name)) {
            BinaryDeserializer::into_event(self.clone()).ok()
        } else {
            None
        };
        event.unwrap_or_else(|| self.raw())
    }

    /// A header's value, if it is text.
    fn text(&self, key: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(name, _)| *name == key)?;
        str::from_utf8(value).ok()
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, *value)))
    }

    /// As KafkaSource makes it.
    fn raw(&self) -> Event {
        let (partition, offset) = (self.partition, self.offset);
        let mut event = EventBuilderV10::new()
            .id(format!("partition:{partition}/offset:{offset}"))
            .source(format!("/kafka/topics/{}", self.topic))
            .ty(RAW_EVENT_TYPE)
            .subject(format!("partition:{partition}#{offset}"));
        if let Some(time) = i64::try_from(self.appended_ms).ok().and_then(DateTime::from_timestamp_millis) {
            event = event.time(time);
        }
        let mut event = event.build().expect("all that an event needs");
        if let Some(data) = self.payload {
            event.set_datacontenttype(self.text(CONTENT_TYPE).map(str::to_lowercase));
            event.set_data_unchecked(data.to_vec());
        }
        event
    }
}

/// Whether an attribute may be called so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

impl BinaryDeserializer for Record<'_> {
    fn deserialize_binary<R: Sized, V: BinarySerializer<R>>(self, mut visitor: V) -> Result<R> {
        let version = SpecVersion::try_from(self.text(SPEC_VERSION).unwrap_or_default())?;
        visitor = visitor.set_spec_version(version.clone())?;
        if let Some(content_type) = self.text(CONTENT_TYPE) {
            visitor = visitor.set_attribute("datacontenttype", text(content_type.as_bytes())?)?;
        }
        for (name, value) in self.attributes().filter(|(name, _)| *name != "specversion") {
            visitor = if version.attribute_names().contains(&name) {
                visitor.set_attribute(name, text(value)?)?
            } else {
                visitor.set_extension(name, text(value)?)?
            };
        }
        match self.payload {
            Some(data) => visitor.end_with_data(data.to_vec()),
            None => visitor.end(),
        }
    }
}

impl StructuredDeserializer for Record<'_> {
    fn deserialize_structured<R: Sized, V: StructuredSerializer<R>>(self, visitor: V) -> Result<R> {
        visitor.set_structured_event(self.payload.unwrap_or_default().to_vec())
    }
}

fn text(value: &[u8]) -> Result<MessageAttributeValue> {
    let text =
        str::from_utf8(value).map_err(|cause| cloudevents::message::Error::Other { source: cause.into() })?;
    Ok(MessageAttributeValue::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use cloudevents::AttributesReader;

    use super::*;

    fn record<'a>(headers: &[(&'a str, &'a str)], payload: Option<&'a [u8]>) -> Record<'a> {
        Record {
            headers: headers.iter().map(|(key, value)| (*key, value.as_bytes())).collect(),
            payload,
            topic: "user-tags",
            partition: 3,
            offset: 17,
            appended_ms: 1_700_000_000_123,
        }
    }

    const MINIMAL: [(&str, &str); 4] =
        [("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/s"), ("ce_type", "t")];

    /// As it would be read again.
    fn again(event: Event) -> Event {
        let written = Written::new(event);
        let headers = written.headers.iter().map(|header| (header.key, header.value.unwrap())).collect();
        Record { headers, ..record(&[], written.data.as_deref()) }.event()
    }

    #[test]
    fn binary_mode_comes_back() {
        let event = EventBuilderV10::new()
            .id("1")
            .source("/s")
            .ty("t")
            .time("2024-02-29T23:59:59.123456Z")
            .extension("n", 7)
            .data("application/json", b"{}".to_vec())
            .build()
            .unwrap();
        let read = again(event.clone());
        assert_eq!(read.time(), event.time());
        assert_eq!(read.data(), event.data());
        assert_eq!(read.extension("n").unwrap().to_string(), "7");
        assert!(again(record(&MINIMAL, None).event()).data().is_none());
        assert_eq!(again(record(&MINIMAL, Some(b"")).event()).data(), Some(&Data::Binary(Vec::new())));
    }

    #[test]
    fn values_are_ascii() {
        let event = record(&[&MINIMAL[..], &[("ce_reason", "Łódź\n100%")]].concat(), None).event();
        assert_eq!(again(event).extension("reason").unwrap().to_string(), "%C5%81%C3%B3d%C5%BA%0A100%");
    }

    #[test]
    fn structured_mode_is_read() {
        let json = br#"{"specversion":"1.0","id":"9","source":"/s","type":"t","data":{"a":1}}"#;
        let headers = [("content-type", "application/cloudevents+json; charset=utf-8")];
        assert_eq!(record(&headers, Some(json)).event().id(), "9");
    }

    #[test]
    fn anything_else_is_raw() {
        let noise: Vec<u8> =
            (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let structured = [("content-type", "application/cloudevents+json")];
        let batch = [("content-type", "application/cloudevents-batch+json")];
        let cases = [
            record(&[], Some(&noise)),
            record(&structured, Some(&noise)),
            record(&structured, None),
            record(&structured, Some(b"{}")),
            record(&batch, Some(b"[]")),
            record(&MINIMAL[..3], Some(b"no type")),
            record(&[&MINIMAL[..], &[("ce_time", "yesterday")]].concat(), Some(b"bad time")),
            record(&[&MINIMAL[..], &[("ce_Bad Name", "x")]].concat(), Some(b"bad name")),
            record(&[("ce_specversion", "7.0"), MINIMAL[1], MINIMAL[2], MINIMAL[3]], Some(b"bad version")),
        ];
        for case in cases {
            let event = case.clone().event();
            assert_eq!(event.ty(), RAW_EVENT_TYPE, "{:?}", case.headers);
            assert_eq!(event.id(), "partition:3/offset:17");
            assert_eq!(event.source(), "/kafka/topics/user-tags");
            assert_eq!(event.time().unwrap().timestamp_millis(), 1_700_000_000_123);
            assert_eq!(event.data().cloned(), case.payload.map(|data| Data::Binary(data.to_vec())));
        }
    }

    #[test]
    fn a_value_that_is_no_text_makes_it_raw() {
        let mut record = record(&MINIMAL, Some(b"x"));
        record.headers.push(("ce_subject", b"\xff"));
        assert_eq!(record.event().ty(), RAW_EVENT_TYPE);
    }
}
