//! The record of names on the log: version 1 is final, since numbers follow from it for ever.

use std::borrow::Cow;

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use model::Collection;
use model::batch::data_bytes;
use serde::{Deserialize, Serialize};
use store::Error;

/// The type of the events that carry names.
pub const EVENT_TYPE: &str = "com.allezon.names.seen";
/// The version that is written.
const VERSION: u64 = 1;
/// Where these events say they come from, whichever instance it is: their ids say what is in them.
const SOURCE: &str = "/id-service";
/// The most bytes of names in one event, as JSON. With what is around them it stays below the 1,048,588 bytes that Kafka
/// takes by default.
const MAX_JSON_BYTES: usize = 768 * 1024;

/// Names that somebody wants numbers for. On the log it is an occurrence of each of them, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenNames {
    /// Their collection.
    pub(crate) collection: Collection,
    /// How many names of the collection the writer had read from the log. Who has read as far and knows fewer reads
    /// another log, or one whose beginning is gone.
    pub(crate) known: usize,
    /// The names.
    pub(crate) names: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    collection: &'a str,
    known: usize,
    names: &'a [String],
    checksum: String,
}

#[derive(Deserialize)]
struct Read<'a> {
    version: u64,
    #[serde(borrow)]
    collection: Cow<'a, str>,
    known: usize,
    names: Vec<String>,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// Names in as few records as a log takes, in their order.
pub(crate) fn split(collection: &Collection, known: usize, names: Vec<String>) -> Vec<SeenNames> {
    let mut records: Vec<SeenNames> = Vec::new();
    let mut room = 0;
    for name in names {
        let bytes = json_bytes(&name);
        if bytes > room || records.is_empty() {
            records.push(SeenNames { collection: collection.clone(), known, names: Vec::new() });
            room = MAX_JSON_BYTES;
        }
        room = room.saturating_sub(bytes);
        records.last_mut().expect("one was pushed before the first name").names.push(name);
    }
    records
}

impl SeenNames {
    /// The event that carries them.
    pub(crate) fn to_event(&self) -> Event {
        let checksum = self.checksum();
        EventBuilderV10::new()
            .id(&checksum)
            .source(SOURCE)
            .ty(EVENT_TYPE)
            .data("application/json", self.to_json(checksum))
            .build()
            .expect("the attributes are set, and the source is a path")
    }

    /// The names that an event carries: all of them, or an error.
    pub(crate) fn from_event(event: &Event) -> Result<Self, Error> {
        if event.ty() != EVENT_TYPE {
            // To pass over what might be names would number all later ones wrongly.
            return Err(Error::Newer(format!("events of type {} on the log of names", event.ty())));
        }
        Self::from_json(&data_bytes(event))
    }

    /// BLAKE3 over version, `known`, and collection and names, each with its length: 128 bits as hexadecimal digits. It is
    /// over what the record says and not over its text, so that a hop that writes the JSON again does no harm.
    pub(crate) fn checksum(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&VERSION.to_be_bytes()).update(&(self.known as u64).to_be_bytes());
        for text in std::iter::once(self.collection.as_str()).chain(self.names.iter().map(String::as_str)) {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        }
        let mut hex = hasher.finalize().to_hex().to_string();
        hex.truncate(32);
        hex
    }

    fn to_json(&self, checksum: String) -> Vec<u8> {
        let Self { collection, known, names } = self;
        let written =
            Written { version: VERSION, collection: collection.as_str(), known: *known, names, checksum };
        serde_json::to_vec(&written).expect("strings and a number are JSON")
    }

    fn from_json(text: &[u8]) -> Result<Self, Error> {
        let read: Read<'_> = serde_json::from_slice(text).map_err(|cause| newer_or_damaged(text, &cause))?;
        if read.version > VERSION {
            return Err(newer(read.version));
        }
        let seen =
            Self { collection: Collection::new(read.collection), known: read.known, names: read.names };
        if read.version < VERSION || read.checksum != seen.checksum() {
            return Err(damaged("a record's checksum does not match"));
        }
        Ok(seen)
    }
}

/// At most so many bytes does JSON take for a name: six for what it may have to write as `\u0000`, and two quotes and a
/// comma around it.
fn json_bytes(name: &str) -> usize {
    let escaped = name.bytes().filter(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).count();
    name.len() + 5 * escaped + 3
}

fn newer_or_damaged(text: &[u8], cause: &serde_json::Error) -> Error {
    match serde_json::from_slice::<VersionOnly>(text) {
        Ok(VersionOnly { version }) if version > VERSION => newer(version),
        _ => damaged(&format!("no record of names: {cause}")),
    }
}

fn newer(version: u64) -> Error {
    Error::Newer(format!("names of format version {version}; this release knows {VERSION}"))
}

fn damaged(reason: &str) -> Error {
    Error::Damaged(format!("the log of names: {reason}"))
}

#[cfg(test)]
mod tests {
    use model::MAX_ELEMENT_BYTES;
    use proptest::prelude::*;

    use super::*;

    fn seen(collection: &str, names: &[&str]) -> SeenNames {
        SeenNames {
            collection: Collection::new(collection),
            known: 7,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn is_written_as_documented() {
        let text = String::from_utf8(seen("brand", &["Nike", ""]).to_json("c".into())).unwrap();
        assert_eq!(
            text,
            r#"{"version":1,"collection":"brand","known":7,"names":["Nike",""],"checksum":"c"}"#
        );
        let event = seen("brand", &["Nike"]).to_event();
        assert_eq!((event.ty(), event.source().as_str()), (EVENT_TYPE, SOURCE));
        assert_eq!(event.id(), "24b4fddedcd27215d3a9e844bb97b744", "checksums never change");
    }

    #[test]
    fn is_taken_whole_or_refused_whole() {
        let record = seen("brand", &["Nike", "Puma"]);
        let text = String::from_utf8(record.to_json(record.checksum())).unwrap();
        let with = |from: &str, to: &str| SeenNames::from_json(text.replacen(from, to, 1).as_bytes());
        assert!(with("", " ").is_ok_and(|read| read == record));
        assert!(matches!(with(r#""version":1"#, r#""version":2"#), Err(Error::Newer(_))));
        assert!(matches!(
            with(r#""version":1,"names""#, r#""version":2,"n""#),
            Err(Error::Damaged(_)) | Ok(_)
        ));
        assert!(matches!(with(r#""version":1,"collection""#, r#""version":9,"what""#), Err(Error::Newer(_))));
        for (from, to) in [
            (r#""version":1"#, r#""version":0"#),
            (r#""version":1,"#, ""),
            ("Nike", "Mike"),
            (r#""Nike","Puma""#, r#""Puma","Nike""#),
            (r#""Puma""#, "7"),
            ("brand", "origin"),
            (":7", ":6"),
            (":7", ":-7"),
            (r#"{"#, ""),
        ] {
            assert!(matches!(with(from, to), Err(Error::Damaged(_))), "{from} -> {to}");
        }
    }

    #[test]
    fn an_unknown_type_is_not_passed_over() {
        let event =
            EventBuilderV10::new().id("1").source("/x").ty("com.allezon.names.merged").build().unwrap();
        assert!(matches!(SeenNames::from_event(&event), Err(Error::Newer(_))));
    }

    #[test]
    fn no_event_is_larger_than_a_log_takes() {
        let names: Vec<String> =
            (0..2_000).map(|n| format!("{n:05}{}", "\0\"x\\".repeat(MAX_ELEMENT_BYTES / 4 - 2))).collect();
        let records = split(&Collection::BRAND, 7, names.clone());
        assert!(
            records.len() < 100
                && records.iter().all(|record| record.to_json(record.checksum()).len() < 1_000_000)
        );
        assert_eq!(records.into_iter().flat_map(|record| record.names).collect::<Vec<_>>(), names);
        assert_eq!(split(&Collection::BRAND, 7, Vec::new()), []);
    }

    proptest! {
        #[test]
        fn goes_through_an_event_and_back(
            collection in ".*",
            known in 0_usize..1 << 24,
            names in prop::collection::vec(".*", 0..8),
        ) {
            let record = SeenNames { collection: Collection::new(collection), known, names };
            prop_assert_eq!(SeenNames::from_event(&record.to_event()).unwrap(), record);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
            let _ = SeenNames::from_json(&text);
        }
    }
}
