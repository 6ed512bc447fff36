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
