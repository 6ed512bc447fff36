//! Values too large for a profile: each lies in a record of its own, and the profile holds a stub in its place.
//!
//! A tag may spell out names of 64 KiB each, and 200 such tags would be far larger than a record may be: every later put of
//! that shopper would fail for ever.

use aerospike::{BatchDeletePolicy, BatchOperation, Value};
use bytes::Bytes;
use model::{Action, Cookie, Instant};
use store::{Entry, Error, StoredTag};

use crate::error::{damaged, unavailable};
use crate::keys::{Set, entry_key, profile_bytes};
use crate::profiles::{ACCEPTED_BYTES, Found};
use crate::records::Place;
use crate::store::Shared;
use crate::values;

/// 200 of these are 0.8 MiB, less than the smallest record size that is taken.
const MAX_INLINE_BYTES: usize = 4 << 10;
/// Follows the time in a stub, where a packed tag has its version, which is never 0.
const STUB_MARK: u8 = 0;
const STUB_BYTES: usize = ACCEPTED_BYTES + 1;
/// How often a reader looks when a value is gone: its entry may have been cut or erased meanwhile.
pub(crate) const READS: usize = 3;

/// Where an entry's value lies, and the value, if it is too large for the profile.
pub(crate) fn record_of(entry: &Entry) -> Option<(Place, Bytes)> {
    let key = entry_key(entry.instant, entry.identity);
    is_large(entry).then(|| (place(&key, &entry.cookie, entry.action), entry.packed.clone().into()))
}

impl Shared {
    /// The tags of these entries; `None` if a value of its own is gone.
    pub(crate) async fn with_large(
        &self,
        cookie: &Cookie,
        action: Action,
        found: Vec<(Instant, Found)>,
    ) -> Result<Option<Vec<StoredTag>>, Error> {
        let stubs: Vec<_> = found.iter().filter(|(_, (_, value))| is_stub(value)).collect();
        let keys = stubs.iter().map(|(_, (key, _))| place(key, cookie, action).1).collect();
        let mut large = self.read_bytes(Set::Values, keys).await?.into_iter();
        let mut tags = Vec::with_capacity(found.len());
        for (instant, (_, value)) in found {
            let packed = match value {
                stub if is_stub(&stub) => match large.next().flatten() {
                    Some(packed) if !packed.is_empty() => packed.into(),
                    _ => return Ok(None),
                },
                Value::Blob(packed) => packed,
                _ => return Err(damaged("a tag")),
            };
            tags.push(StoredTag { instant, packed });
        }
        Ok(Some(tags))
    }

    /// Removes the values of these entries. They are emptied first, since a deleted record may come back.
    pub(crate) async fn remove_large(
        &self,
        cookie: &Cookie,
        action: Action,
        removed: &[(&Value, &Value)],
    ) -> Result<(), Error> {
        let mut places = Vec::new();
        for (key, _) in removed.iter().filter(|(_, value)| is_stub(value)) {
            places.push(place(values::blob(key, "a tag")?, cookie, action));
        }
        self.empty_and_delete(places).await
    }

    pub(crate) async fn empty_and_delete(&self, places: Vec<Place>) -> Result<(), Error> {
        self.write_bytes(places.iter().map(|place| (place.clone(), Bytes::new())).collect()).await?;
        let delete = |(set, key): Place| {
            BatchOperation::delete(&BatchDeletePolicy::default(), self.keys.key(set, key))
        };
        self.run(places.into_iter().map(delete).collect()).await.map(drop)
    }
}

/// What stands in the profile for an entry.
pub(crate) fn value_of(entry: &Entry) -> Value {
    if !is_large(entry) {
        return Value::Blob(entry.packed.clone());
    }
    let accepted = &entry.accepted_ms.to_be_bytes()[size_of::<u64>() - ACCEPTED_BYTES..];
    Value::Blob([accepted, &[STUB_MARK]].concat())
}

pub(crate) fn is_stub(value: &Value) -> bool {
    matches!(value, Value::Blob(bytes) if bytes.len() == STUB_BYTES && bytes[ACCEPTED_BYTES] == STUB_MARK)
}

pub(crate) fn gone() -> Error {
    unavailable("a large tag of the profile is gone")
}

fn is_large(entry: &Entry) -> bool {
    entry.packed.len() > MAX_INLINE_BYTES
}

/// The entry's key first: it is always of the same length, so no two places are the same.
fn place(entry: &[u8], cookie: &Cookie, action: Action) -> Place {
    (Set::Values, [entry, &profile_bytes(cookie, action)].concat())
}
