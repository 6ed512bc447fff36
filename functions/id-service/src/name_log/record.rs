//! The record of names on the log: version 1 is final, since numbers follow from it for ever.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use model::Collection;
use model::batch::data_bytes;
use serde::{Deserialize, Serialize};
use store::Error;

/// The type of the events that carry names.
pub const EVENT_TYPE: &str = "com.allezon.names.seen";
/// The version that is written.
const VERSION: u64 = 1;
/// Where these events say they come from. Any instance: the same names make the same event, whoever writes it.
const SOURCE: &str = "/id-service";
/// The most bytes of names in one event, written as JSON at its worst. With what is around them it stays below the
/// 1,048,588 bytes that Kafka takes by default.
const MAX_JSON_BYTES: usize = 768 * 1024;
/// JSON at its worst writes six bytes for one, as `\u0000`, and puts two quotes and a comma around a name.
const WORST_ESCAPE: usize = 6;
const AROUND_A_NAME: usize = 3;

/// Names that somebody wants numbers for. On the log it is an occurrence of each of them, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenNames {
    /// Their collection.
    pub(crate) collection: Collection,
    /// The names.
    pub(crate) names: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    collection: &'a str,
    names: &'a [String],
    checksum: String,
}

#[derive(Deserialize)]
struct Read<'a> {
    version: u64,
    #[serde(borrow)]
    collection: Cow<'a, str>,
    names: Vec<String>,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// The events' worth of these names: each once for its collection, in the order asked.
pub(crate) fn pack(wanted: &[SeenNames]) -> Vec<SeenNames> {
    let mut collections: BTreeMap<&Collection, (HashSet<&str>, Vec<&str>)> = BTreeMap::new();
    for seen in wanted {
        let (known, names) = collections.entry(&seen.collection).or_default();
        names.extend(seen.names.iter().map(String::as_str).filter(|name| known.insert(name)));
    }
    collections.into_iter().flat_map(|(collection, (_, names))| split(collection, &names)).collect()
}

fn split(collection: &Collection, names: &[&str]) -> Vec<SeenNames> {
    let mut records: Vec<SeenNames> = Vec::new();
    let mut room = 0;
    for name in names {
        let bytes = name.len() * WORST_ESCAPE + AROUND_A_NAME;
        if bytes > room || records.is_empty() {
            records.push(SeenNames { collection: collection.clone(), names: Vec::new() });
            room = MAX_JSON_BYTES;
        }
        room = room.saturating_sub(bytes);
        let record = records.last_mut().expect("one was pushed before the first name");
        record.names.push((*name).to_owned());
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

    /// BLAKE3 over version, collection and names, each with its length: 128 bits as hexadecimal digits. It is over what
    /// the record says and not over its text, so that a hop that writes the JSON again does no harm.
    pub(crate) fn checksum(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&VERSION.to_be_bytes());
        for text in std::iter::once(self.collection.as_str()).chain(self.names.iter().map(String::as_str)) {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        }
        let mut hex = hasher.finalize().to_hex().to_string();
        hex.truncate(32);
        hex
    }

    fn to_json(&self, checksum: String) -> Vec<u8> {
        let written =
            Written { version: VERSION, collection: self.collection.as_str(), names: &self.names, checksum };
        serde_json::to_vec(&written).expect("strings and a number are JSON")
    }

    fn from_json(text: &[u8]) -> Result<Self, Error> {
        let read: Read<'_> = serde_json::from_slice(text).map_err(|cause| newer_or_damaged(text, &cause))?;
        if read.version > VERSION {
            return Err(newer(read.version));
        }
        let seen = Self { collection: Collection::new(read.collection), names: read.names };
        if read.version < VERSION || read.checksum != seen.checksum() {
            return Err(damaged("a record's checksum does not match"));
        }
        Ok(seen)
    }
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
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn is_written_as_documented() {
        let text = String::from_utf8(seen("brand", &["Nike", ""]).to_json("c".into())).unwrap();
        assert_eq!(text, r#"{"version":1,"collection":"brand","names":["Nike",""],"checksum":"c"}"#);
        let event = seen("brand", &["Nike"]).to_event();
        assert_eq!((event.ty(), event.source().as_str()), (EVENT_TYPE, SOURCE));
        assert_eq!(event.id(), "b7f1b7a5", "an id never changes: it is the checksum");
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
    fn packs_each_name_once_in_the_order_asked() {
        let wanted = [seen("b", &["z", "a"]), seen("o", &["a"]), seen("b", &["a", "m", "z"]), seen("b", &[])];
        assert_eq!(pack(&wanted), [seen("b", &["z", "a", "m"]), seen("o", &["a"])]);
        assert_eq!(pack(&[]), []);
    }

    #[test]
    fn no_event_is_larger_than_a_log_takes() {
        let names: Vec<String> =
            (0..10_000).map(|n| format!("{n:05}{}", "\0".repeat(MAX_ELEMENT_BYTES - 5))).collect();
        let wanted = SeenNames { collection: Collection::BRAND, names };
        let records = pack(std::slice::from_ref(&wanted));
        assert!(records.iter().all(|record| record.to_json(record.checksum()).len() < 1_000_000));
        assert_eq!(records.into_iter().flat_map(|record| record.names).collect::<Vec<_>>(), wanted.names);
    }

    proptest! {
        #[test]
        fn goes_through_an_event_and_back(collection in ".*", names in prop::collection::vec(".*", 0..8)) {
            let record = SeenNames { collection: Collection::new(collection), names };
            prop_assert_eq!(SeenNames::from_event(&record.to_event()).unwrap(), record);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
            let _ = SeenNames::from_json(&text);
        }
    }
}
