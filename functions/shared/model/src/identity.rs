//! The identity that a client gives a tag, so that a repeat counts once.

use crate::UserTag;

/// 128 bits of BLAKE3 over where a key comes from, the key, and the tag itself: the same key with another tag is another
/// identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnIdentity(pub [u8; 16]);

impl OwnIdentity {
    /// The identity of a tag that came as a CloudEvent of this source and id.
    pub fn of_event(source: &str, id: &str, tag: &UserTag) -> Self {
        Self::of("cloudevent", &[source, id], tag)
    }

    /// The identity of a tag that came with this `Idempotency-Key`.
    pub fn of_key(key: &str, tag: &UserTag) -> Self {
        Self::of("idempotency-key", &[key], tag)
    }

    /// Its first 64 bits: half of a profile entry's key.
    pub fn short(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn of(namespace: &str, keys: &[&str], tag: &UserTag) -> Self {
        let mut canonical = Vec::with_capacity(256);
        for part in std::iter::once(&namespace).chain(keys) {
            canonical.extend_from_slice(&(part.len() as u64).to_be_bytes());
            canonical.extend_from_slice(part.as_bytes());
        }
        tag.write_canonical(&mut canonical);
        let mut identity = [0; 16];
        identity.copy_from_slice(&blake3::hash(&canonical).as_bytes()[..16]);
        Self(identity)
    }
}
