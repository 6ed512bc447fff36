//! How an event lies in the log: one record each.
//!
//! | field | how |
//! |---|---|
//! | version | 1 byte, [`VERSION`] |
//! | when it was appended | u64, milliseconds since 1970 |
//! | the group it was written in | u64, position of the group's first event |
//! | which attributes are there, spec version, kind of data | 1 byte of flags, 1 byte |
//! | id, type, source | text: u32 length, UTF-8 |
//! | content type, schema, subject | text each, if there |
//! | time | i64 seconds since 1970, u32 nanoseconds, if there |
//! | extensions | u32 count, each: text name, 1 byte kind, text or i64 or nothing |
//! | data | u32 length, bytes |
//! | checksum | u32, CRC-32C of all before |
//!
//! Numbers are little-endian. A reader refuses a version that it does not know.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use cloudevents::event::{ExtensionValue, SpecVersion, TryIntoUrl};
use cloudevents::{
    AttributesReader, AttributesWriter, Data, Event, EventBuilder, EventBuilderV03, EventBuilderV10,
};
use event_log::{Position, Recorded};

/// The version that is written, and the newest that can be read.
const VERSION: u8 = 1;
/// Version, time, group.
const HEAD_BYTES: usize = 1 + 8 + 8;
const CHECKSUM_BYTES: usize = 4;
/// Attributes and extensions take about so much; a longer record only grows once more.
const ATTRIBUTES_BYTES: usize = 256;

const HAS_CONTENT_TYPE: u8 = 1;
const HAS_SCHEMA: u8 = 2;
const HAS_SUBJECT: u8 = 4;
const HAS_TIME: u8 = 8;
const IS_V03: u8 = 16;

const NO_DATA: u8 = 0;
const BINARY: u8 = 1;
const TEXT: u8 = 2;
const JSON: u8 = 3;

const EXTENSION_TEXT: u8 = 0;
const EXTENSION_FALSE: u8 = 1;
const EXTENSION_TRUE: u8 = 2;
const EXTENSION_INTEGER: u8 = 3;

/// A record that is complete but for its place, which only the writer knows.
#[derive(Debug)]
pub(crate) struct Draft(Vec<u8>);

impl Draft {
    /// Encodes an event that is appended now.
    pub(crate) fn new(event: &Event) -> Self {
        let mut out = Vec::with_capacity(HEAD_BYTES + ATTRIBUTES_BYTES + data_len(event) + CHECKSUM_BYTES);
        out.push(VERSION);
        out.extend(now_ms().to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        write_attributes(&mut out, event);
        write_extensions(&mut out, event);
        write_data(&mut out, event.data());
        Self(out)
    }

    /// How long the record will be.
    pub(crate) fn len(&self) -> usize {
        self.0.len() + CHECKSUM_BYTES
    }

    /// The record, of the group that begins there.
    pub(crate) fn seal(mut self, group: Position) -> Vec<u8> {
        self.0[9..HEAD_BYTES].copy_from_slice(&group.0.to_le_bytes());
        let checksum = crc32c::crc32c(&self.0);
        self.0.extend(checksum.to_le_bytes());
        self.0
    }
}

/// Where the group begins that this record was written in.
pub(crate) fn group(record: &[u8]) -> Result<Position, Unreadable> {
    let body = checked(record)?;
    Ok(Position(u64::from_le_bytes(body[9..HEAD_BYTES].try_into().expect("eight bytes"))))
}

/// The event at this position.
pub(crate) fn decode(position: Position, record: &[u8]) -> Result<Recorded, Unreadable> {
    let body = checked(record)?;
    let appended_ms = u64::from_le_bytes(body[1..9].try_into().expect("eight bytes"));
    let event = read_event(&mut Reader(&body[HEAD_BYTES..])).ok_or(Unreadable::Damaged)?;
    Ok(Recorded { position, next: Position(position.0 + 1), appended_ms, event })
}

/// Why a record does not give an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// These are not the bytes that were written.
    Damaged,
    /// A newer release wrote it.
    Newer(u8),
}

/// The record without its checksum, which is right.
fn checked(record: &[u8]) -> Result<&[u8], Unreadable> {
    let (body, checksum) = record.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Unreadable::Damaged)?;
    if body.len() < HEAD_BYTES || crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return Err(Unreadable::Damaged);
    }
    match body[0] {
        VERSION => Ok(body),
        newer => Err(Unreadable::Newer(newer)),
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn data_len(event: &Event) -> usize {
    match event.data() {
        Some(Data::Binary(bytes)) => bytes.len(),
        Some(Data::String(text)) => text.len(),
        Some(Data::Json(_)) | None => 0,
    }
}

fn write_attributes(out: &mut Vec<u8>, event: &Event) {
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    out.push(
        flag(event.datacontenttype().is_some(), HAS_CONTENT_TYPE)
            | flag(event.dataschema().is_some(), HAS_SCHEMA)
            | flag(event.subject().is_some(), HAS_SUBJECT)
            | flag(event.time().is_some(), HAS_TIME)
            | flag(event.specversion() == SpecVersion::V03, IS_V03),
    );
    write_bytes(out, event.id().as_bytes());
    write_bytes(out, event.ty().as_bytes());
    write_bytes(out, event.source().as_bytes());
    if let Some(content_type) = event.datacontenttype() {
        write_bytes(out, content_type.as_bytes());
    }
    if let Some(schema) = event.dataschema() {
        write_bytes(out, schema.as_str().as_bytes());
    }
    if let Some(subject) = event.subject() {
        write_bytes(out, subject.as_bytes());
    }
    if let Some(time) = event.time() {
        out.extend(time.timestamp().to_le_bytes());
        out.extend(time.timestamp_subsec_nanos().to_le_bytes());
    }
}

fn write_extensions(out: &mut Vec<u8>, event: &Event) {
    out.extend(length(event.iter_extensions().count()));
    for (name, value) in event.iter_extensions() {
        write_bytes(out, name.as_bytes());
        match value {
            ExtensionValue::String(text) => {
                out.push(EXTENSION_TEXT);
                write_bytes(out, text.as_bytes());
            }
            ExtensionValue::Boolean(false) => out.push(EXTENSION_FALSE),
            ExtensionValue::Boolean(true) => out.push(EXTENSION_TRUE),
            ExtensionValue::Integer(number) => {
                out.push(EXTENSION_INTEGER);
                out.extend(number.to_le_bytes());
            }
        }
    }
}

fn write_data(out: &mut Vec<u8>, data: Option<&Data>) {
    match data {
        None => out.push(NO_DATA),
        Some(Data::Binary(bytes)) => {
            out.push(BINARY);
            write_bytes(out, bytes);
        }
        Some(Data::String(text)) => {
            out.push(TEXT);
            write_bytes(out, text.as_bytes());
        }
        Some(Data::Json(value)) => {
            out.push(JSON);
            write_bytes(out, value.to_string().as_bytes());
        }
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// What is longer than can be said here is far beyond what the log takes; its record is refused for its size.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

fn read_event(from: &mut Reader<'_>) -> Option<Event> {
    let flags = from.byte()?;
    let (id, ty, source) = (from.text()?, from.text()?, from.text()?);
    let mut event = if flags & IS_V03 == 0 {
        EventBuilderV10::new().id(id).ty(ty).source("/").build().ok()?
    } else {
        EventBuilderV03::new().id(id).ty(ty).source("/").build().ok()?
    };
    // Not through the builder, which refuses an empty one.
    event.set_source(source);
    let content_type = from.if_there(flags & HAS_CONTENT_TYPE, Reader::text)?;
    let schema = from.if_there(flags & HAS_SCHEMA, Reader::text)?;
    let subject = from.if_there(flags & HAS_SUBJECT, Reader::text)?;
    let time = from.if_there(flags & HAS_TIME, Reader::time)?;
    event.set_datacontenttype(content_type);
    event
        .set_dataschema(schema.map(|schema| schema.into_url().ok()).map_or(Some(None), |url| url.map(Some))?);
    event.set_subject(subject);
    event.set_time(time);
    for _ in 0..from.length()? {
        let name = from.text()?;
        event.set_extension(name, from.extension()?);
    }
    if let Some(data) = from.data()? {
        event.set_data_unchecked(data);
    }
    from.0.is_empty().then_some(event)
}

/// What is left of a record. Each call takes a piece of it, `None` where there is no such piece.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.chunk()?)).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        let seconds = i64::from_le_bytes(self.chunk()?);
        DateTime::from_timestamp(seconds, u32::from_le_bytes(self.chunk()?))
    }

    /// The outer `None` is for damage, the inner one for an absent attribute.
    fn if_there<T>(&mut self, flag: u8, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if flag == 0 { Some(None) } else { read(self).map(Some) }
    }

    fn extension(&mut self) -> Option<ExtensionValue> {
        match self.byte()? {
            EXTENSION_TEXT => self.text().map(ExtensionValue::from),
            EXTENSION_FALSE => Some(ExtensionValue::Boolean(false)),
            EXTENSION_TRUE => Some(ExtensionValue::Boolean(true)),
            EXTENSION_INTEGER => {
                self.chunk().map(|number| ExtensionValue::Integer(i64::from_le_bytes(number)))
            }
            _ => None,
        }
    }

    fn data(&mut self) -> Option<Option<Data>> {
        match self.byte()? {
            NO_DATA => Some(None),
            BINARY => self.bytes().map(|bytes| Some(Data::Binary(bytes.to_vec()))),
            TEXT => self.text().map(|text| Some(Data::String(text.to_owned()))),
            JSON => serde_json::from_slice(self.bytes()?).ok().map(|value| Some(Data::Json(value))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn data() -> impl Strategy<Value = Option<Data>> {
        prop_oneof![
            Just(None),
            any::<Vec<u8>>().prop_map(|bytes| Some(Data::Binary(bytes))),
            any::<String>().prop_map(|text| Some(Data::String(text))),
            any::<(i64, String)>()
                .prop_map(|(number, text)| Some(Data::Json(serde_json::json!({ text: [number] })))),
        ]
    }

    fn extension() -> impl Strategy<Value = ExtensionValue> {
        prop_oneof![
            any::<String>().prop_map(ExtensionValue::String),
            any::<bool>().prop_map(ExtensionValue::Boolean),
            any::<i64>().prop_map(ExtensionValue::Integer),
        ]
    }

    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        let seconds = DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp();
        (seconds, 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).expect("within the range"))
    }

    fn event() -> impl Strategy<Value = Event> {
        let names = (any::<String>(), any::<String>(), any::<String>(), any::<bool>());
        let optional =
            (any::<Option<String>>(), any::<bool>(), any::<Option<String>>(), prop::option::of(time()));
        let extensions = prop::collection::btree_map("[a-z0-9]{1,20}", extension(), 0..5);
        (names, optional, extensions, data()).prop_map(|(names, optional, extensions, data)| {
            let (id, ty, source, v03) = names;
            let mut event = if v03 {
                EventBuilderV03::new().id("").ty("").source("/").build().expect("an event")
            } else {
                Event::default()
            };
            event.set_id(id);
            event.set_type(ty);
            event.set_source(source);
            let (content_type, schema, subject, time) = optional;
            event.set_datacontenttype(content_type);
            event.set_dataschema(schema.then(|| "https://example.org/a?b#c".into_url().expect("a URL")));
            event.set_subject(subject);
            event.set_time(time);
            for (name, value) in extensions {
                event.set_extension(&name, value);
            }
            if let Some(data) = data {
                event.set_data_unchecked(data);
            }
            event
        })
    }

    proptest! {
        /// Whatever an event holds comes back.
        #[test]
        fn events_come_back(event in event(), group in any::<u64>(), position in 0..u64::MAX) {
            let draft = Draft::new(&event);
            let len = draft.len();
            let record = draft.seal(Position(group));
            prop_assert_eq!(record.len(), len);
            prop_assert_eq!(super::group(&record), Ok(Position(group)));
            let recorded = decode(Position(position), &record).expect("as it was written");
            prop_assert_eq!(recorded.event, event);
            prop_assert_eq!((recorded.position, recorded.next), (Position(position), Position(position + 1)));
        }

        /// A record that lost or changed bytes is told from a good one.
        #[test]
        fn damage_is_found(event in event(), at in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<bool>()) {
            let mut record = Draft::new(&event).seal(Position(7));
            let at = at.index(record.len());
            if cut { record.truncate(at) } else { record[at] ^= flip }
            prop_assert_eq!(decode(Position(7), &record).err(), Some(Unreadable::Damaged));
        }

        /// No bytes make it panic, also behind a right checksum.
        #[test]
        fn any_bytes_are_survived(mut body in any::<Vec<u8>>()) {
            body.insert(0, VERSION);
            body.extend(crc32c::crc32c(&body).to_le_bytes());
            let _ = decode(Position(0), &body);
        }
    }

    #[test]
    fn leap_seconds_come_back() {
        let leap = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.5Z").expect("a time").to_utc();
        let mut event = Event::default();
        event.set_time(Some(leap));
        let record = Draft::new(&event).seal(Position(0));
        assert_eq!(decode(Position(0), &record).expect("as it was written").event, event);
    }

    #[test]
    fn a_newer_version_is_told() {
        let mut body = Draft::new(&Event::default()).0;
        body[0] = VERSION + 1;
        body.extend(crc32c::crc32c(&body).to_le_bytes());
        assert_eq!(decode(Position(0), &body).err(), Some(Unreadable::Newer(VERSION + 1)));
    }
}
