//! The batch: tags that were accepted together, as one CloudEvent on the log.
//!
//! This is the format that every log carries, now and later: version 1 is final. The data is JSON, so that `kcat` and any
//! CloudEvents SDK read it; the checksum is over what it says and not over its text, so that a hop that writes the JSON
//! again does no harm.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cloudevents::{AttributesReader, Data, Event, EventBuilder, EventBuilderV10};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::tag::WireTag;
use crate::{OwnIdentity, UserTag};

/// The type of a batch's events.
pub const EVENT_TYPE: &str = "com.allezon.user-tags.accepted";
/// The version that is written.
pub const VERSION: u64 = 1;
/// The most tags in a batch: what a hostile payload may make a worker hold.
pub const MAX_TAGS: usize = 65_536;
/// Room for the tags of a usual batch.
const USUAL_TAGS: usize = 256;

/// A batch's identity, for ever: after redelivery, replay, or copying to another topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The instance that wrote it, unique for each start.
    pub source: Arc<str>,
    /// Its number there.
    pub sequence: u64,
}

/// Tags that were accepted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When it was handed to the log, in milliseconds since 1970.
    pub accepted_ms: u64,
    /// Its tags.
    pub tags: Vec<AcceptedTag>,
}

/// A tag of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedTag {
    /// The tag.
    pub tag: UserTag,
    /// The identity that its client gave it; without one it counts under its batch's.
    pub identity: Option<OwnIdentity>,
}

/// Why an event is not a batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Written by a newer release: later, a newer worker takes it.
    #[error("format version {0} is newer than {VERSION}")]
    Newer(u64),
    /// It can never be applied.
    #[error("{0}")]
    Damaged(String),
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    accepted_ms: u64,
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    identities: BTreeMap<usize, String>,
    checksum: String,
}

struct Tags<'a>(&'a [AcceptedTag]);

impl Serialize for Tags<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|accepted| &accepted.tag))
    }
}

#[derive(Deserialize)]
struct Read<'a> {
    version: u64,
    accepted_ms: u64,
    tags: CheckedTags,
    #[serde(default, borrow)]
    identities: BTreeMap<usize, Cow<'a, str>>,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

/// Tags as they are checked one by one while they are read.
struct CheckedTags(Vec<AcceptedTag>);

struct TagsVisitor;

impl<'de> Deserialize<'de> for CheckedTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TagsVisitor)
    }
}

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = CheckedTags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of user tags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<CheckedTags, A::Error> {
        let mut tags = Vec::with_capacity(USUAL_TAGS);
        while let Some(wire) = sequence.next_element::<WireTag<'de>>()? {
            if tags.len() == MAX_TAGS {
                return Err(A::Error::custom(format_args!("more than {MAX_TAGS} tags")));
            }
            let tag = wire
                .check()
                .map_err(|cause| A::Error::custom(format_args!("tags[{}].{cause}", tags.len())))?;
            tags.push(AcceptedTag { tag, identity: None });
        }
        Ok(CheckedTags(tags))
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

impl BatchId {
    /// 64 bits for the tag at `index` of this batch: half of a profile entry's key.
    pub fn tag_hash(&self, index: usize) -> u64 {
        self.tag_hashes()(index)
    }

    /// [`Self::tag_hash`] for many indexes of one batch.
    pub fn tag_hashes(&self) -> impl Fn(usize) -> u64 + use<> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.sequence.to_be_bytes()).update(self.source.as_bytes());
        let mut seed = [0; 8];
        seed.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        let seed = u64::from_be_bytes(seed);
        move |index| scatter(seed.wrapping_add(index as u64))
    }

    /// The identity of an event that carries a batch.
    pub fn from_event(event: &Event) -> Result<Self, BatchError> {
        let sequence =
            event.id().parse().map_err(|_| damaged("id must be the batch's number at its source"))?;
        Ok(Self { source: event.source().as_str().into(), sequence })
    }
}

impl Batch {
    /// The event that carries it.
    pub fn to_event(&self, id: &BatchId) -> Event {
        EventBuilderV10::new()
            .id(id.sequence.to_string())
            .source(&*id.source)
            .ty(EVENT_TYPE)
            .data("application/json", self.to_json())
            .build()
            .expect("the attributes are set, and a source is a path")
    }

    /// The data of that event.
    pub fn to_json(&self) -> Vec<u8> {
        let written = Written {
            version: VERSION,
            accepted_ms: self.accepted_ms,
            tags: Tags(&self.tags),
            identities: self.identities().map(|(index, identity)| (index, to_hex(&identity.0))).collect(),
            checksum: format!("{:08x}", self.checksum()),
        };
        serde_json::to_vec(&written).expect("a batch has no key or number that JSON cannot hold")
    }

    /// The batch that an event carries: whole, or an error.
    pub fn from_event(event: &Event) -> Result<Self, BatchError> {
        if event.ty() != EVENT_TYPE {
            return Err(damaged(format!("type {} is no batch of user tags", event.ty())));
        }
        Self::from_json(&data_bytes(event))
    }

    /// The batch of that data.
    pub fn from_json(text: &[u8]) -> Result<Self, BatchError> {
        let read: Read<'_> = serde_json::from_slice(text).map_err(|cause| newer_or_damaged(text, &cause))?;
        if read.version != VERSION {
            return Err(if read.version > VERSION {
                BatchError::Newer(read.version)
            } else {
                damaged("version 0")
            });
        }
        let CheckedTags(mut tags) = read.tags;
        for (index, hex) in read.identities {
            let identity =
                from_hex(&hex).ok_or_else(|| damaged("an identity must be 32 hexadecimal digits"))?;
            tags.get_mut(index).ok_or_else(|| damaged("an identity without a tag"))?.identity =
                Some(identity);
        }
        let batch = Self { accepted_ms: read.accepted_ms, tags };
        if u32::from_str_radix(&read.checksum, 16) != Ok(batch.checksum()) {
            return Err(damaged("the checksum does not match"));
        }
        Ok(batch)
    }

    fn identities(&self) -> impl Iterator<Item = (usize, OwnIdentity)> {
        self.tags.iter().enumerate().filter_map(|(index, accepted)| Some((index, accepted.identity?)))
    }

    /// CRC-32C over the version, `accepted_ms`, each tag's canonical bytes, and each identity with its index.
    fn checksum(&self) -> u32 {
        let mut sum = crc32c::crc32c(&VERSION.to_be_bytes());
        sum = crc32c::crc32c_append(sum, &self.accepted_ms.to_be_bytes());
        let mut canonical = Vec::with_capacity(256);
        for accepted in &self.tags {
            canonical.clear();
            accepted.tag.write_canonical(&mut canonical);
            sum = crc32c::crc32c_append(sum, &canonical);
        }
        self.identities().fold(sum, |sum, (index, identity)| {
            crc32c::crc32c_append(crc32c::crc32c_append(sum, &(index as u64).to_be_bytes()), &identity.0)
        })
    }
}

/// The data of an event as bytes: as they came where they came as bytes.
pub fn data_bytes(event: &Event) -> Cow<'_, [u8]> {
    match event.data() {
        None => Cow::Borrowed(&[]),
        Some(Data::Binary(bytes)) => Cow::Borrowed(bytes),
        Some(Data::String(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Data::Json(value)) => Cow::Owned(value.to_string().into_bytes()),
    }
}

fn newer_or_damaged(text: &[u8], cause: &serde_json::Error) -> BatchError {
    match serde_json::from_slice::<VersionOnly>(text) {
        Ok(VersionOnly { version }) if version > VERSION => BatchError::Newer(version),
        _ => damaged(format!("no batch: {cause}")),
    }
}

fn damaged(reason: impl Into<String>) -> BatchError {
    BatchError::Damaged(reason.into())
}

/// The finaliser of SplitMix64: neighbouring numbers land far apart. <https://prng.di.unimi.it/splitmix64.c>
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<OwnIdentity> {
    let sound = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = u128::from_str_radix(text, 16).ok()?;
    sound.then_some(OwnIdentity(value.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = r#"{"time":"2022-03-22T12:15:00.000Z","cookie":"c","country":"CL","device":"PC","action":"VIEW","origin":"O","product_info":{"product_id":-0,"brand_id":"B","category_id":"C","price":-1}}"#;

    fn batch(identity: Option<OwnIdentity>) -> Batch {
        let tag = UserTag::from_json(TAG.as_bytes()).unwrap();
        let plain = AcceptedTag { tag: tag.clone(), identity: None };
        Batch { accepted_ms: 1_646_092_800_123, tags: vec![plain, AcceptedTag { tag, identity }] }
    }

    #[test]
    fn goes_through_an_event_and_back() {
        let id = BatchId { source: "/user-tags/7".into(), sequence: 9 };
        for identity in [None, Some(OwnIdentity([0xab; 16]))] {
            let event = batch(identity).to_event(&id);
            assert_eq!(Batch::from_event(&event), Ok(batch(identity)));
            assert_eq!(BatchId::from_event(&event), Ok(id.clone()));
        }
    }

    #[test]
    fn is_written_as_documented() {
        let text = String::from_utf8(batch(Some(OwnIdentity([0xab; 16]))).to_json()).unwrap();
        let start = r#"{"version":1,"accepted_ms":1646092800123,"tags":["#;
        let end = r#","identities":{"1":"abababababababababababababababab"},"checksum":""#;
        assert!(text.starts_with(&format!("{start}{TAG},{TAG}]{end}")), "{text}");
    }

    #[test]
    fn is_taken_whole_or_refused_whole() {
        let text = String::from_utf8(batch(None).to_json()).unwrap();
        let with = |from: &str, to: &str| Batch::from_json(text.replacen(from, to, 1).as_bytes());
        assert!(matches!(with(r#""version":1"#, r#""version":2"#), Err(BatchError::Newer(2))));
        assert!(matches!(
            with(r#""version":1,"accepted_ms""#, r#""version":3,"when""#),
            Err(BatchError::Newer(3))
        ));
        for (from, to, reason) in [
            (r#""version":1"#, r#""version":0"#, "version 0"),
            (r#""version":1,"#, "", "no batch"),
            (r#""price":-1"#, r#""price":-2"#, "checksum"),
            ("12:15:00.000Z", "12:15:00.00Z", "checksum"),
            ("12:15:00.000Z", "yesterday", "tags[0].time"),
            (r#""cookie":"c","#, "", "no batch"),
            (
                r#"],"checksum""#,
                r#"],"identities":{"7":"abababababababababababababababab"},"checksum""#,
                "without a tag",
            ),
            (r#"],"checksum""#, r#"],"identities":{"0":"xy"},"checksum""#, "32 hexadecimal"),
        ] {
            match with(from, to) {
                Err(BatchError::Damaged(told)) => assert!(told.contains(reason), "{told}"),
                other => panic!("{from}: {other:?}"),
            }
        }
    }

    #[test]
    fn may_be_written_again_by_others_on_the_way() {
        let value: serde_json::Value = serde_json::from_slice(&batch(None).to_json()).unwrap();
        let again = serde_json::to_string_pretty(&value).unwrap().replace("-0.0", "-0");
        assert_eq!(Batch::from_json(again.as_bytes()), Ok(batch(None)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>()) {
            let _ = Batch::from_json(&text);
        }

        #[test]
        fn hashes_of_a_batch_are_its_own(a in any::<u64>(), i in 0_usize..100, j in 0_usize..100) {
            let id = BatchId { source: "s".into(), sequence: a };
            prop_assert_eq!(id.tag_hash(i) == id.tag_hash(j), i == j);
        }
    }
}
