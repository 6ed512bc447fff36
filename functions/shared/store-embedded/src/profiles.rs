//! The newest tags of each shopper: one entry of the LSM tree a tag, put blindly.
//!
//! A key is the cookie's hash (16 bytes), the action (1), the time backwards (8) and the identity (8): a list lies
//! together, newest first. The value is the packed tag, which begins with when it was accepted.

use std::ops::Bound;

use model::{Action, Cookie, Instant, TimeRange};
use store::{Entry, ProfileStore, StoredTag};

use crate::error::Fault;
use crate::handle::EmbeddedStore;
use crate::opened::Opened;
use crate::record;

/// The first 128 bits of the cookie's BLAKE3: nobody can find two cookies that share a list.
pub(crate) type CookieHash = [u8; COOKIE_BYTES];

const COOKIE_BYTES: usize = 16;
/// How long the part of a key is that all entries of a list share.
pub(crate) const LIST_BYTES: usize = COOKIE_BYTES + 1;
const INSTANT_BYTES: usize = 8;
const KEY_BYTES: usize = LIST_BYTES + INSTANT_BYTES + 8;
/// `accepted_ms` at the start of a packed tag.
const ACCEPTED_BYTES: usize = 6;
/// Entries removed in one atomic write of an erasure: small enough not to hold up the puts.
const ERASED_AT_ONCE: usize = 1_000;

type Key = [u8; KEY_BYTES];

impl ProfileStore for EmbeddedStore {
    async fn put(&self, entries: Vec<Entry>) -> Result<(), store::Error> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(move |opened| opened.put(entries)).await
    }

    async fn newest(
        &self,
        cookie: &Cookie,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<StoredTag>, store::Error> {
        if limit == 0 || range.from >= range.to {
            return Ok(Vec::new());
        }
        let cookie = hash(cookie);
        self.read(move |opened| opened.newest(&cookie, action, range, limit)).await
    }

    async fn erase(&self, cookie: &Cookie, accepted_before_ms: u64) -> Result<(), store::Error> {
        let cookie = hash(cookie);
        self.write(move |opened| opened.erase(cookie, accepted_before_ms)).await
    }
}

impl Opened {
    fn put(&self, entries: Vec<Entry>) -> Result<(), Fault> {
        self.wait_for_room(&self.profiles)?;
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let cookie = hash(&entry.cookie);
            if entry.accepted_ms >= self.erased.before_ms(&cookie) {
                kept.push((key(&cookie, entry.action, entry.instant, entry.identity), entry.packed));
            }
        }
        // In order, so that neighbours find their places in the same cache lines.
        kept.sort_unstable_by_key(|(key, _)| *key);
        let mut batch = self.batch(kept.len());
        for (key, packed) in kept {
            batch.insert(&self.profiles, key, packed);
        }
        self.commit(batch)?;
        self.flush_if_large(&self.profiles)
    }

    fn newest(
        &self,
        cookie: &CookieHash,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<StoredTag>, Fault> {
        let erased_before_ms = self.erased.before_ms(cookie);
        let newest = key(cookie, action, Instant::from_ms(range.to.ms() - 1), 0);
        let oldest = key(cookie, action, range.from, u64::MAX);
        let mut found = Vec::new();
        for guard in
            self.profiles.range::<&[u8], _>((Bound::Included(&newest[..]), Bound::Included(&oldest[..])))
        {
            let (key, packed) = guard.into_inner().map_err(Fault::of_read)?;
            if accepted_ms(&packed) >= erased_before_ms {
                found.push(StoredTag { instant: instant_of(&key)?, packed: packed.to_vec() });
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    fn erase(&self, cookie: CookieHash, accepted_before_ms: u64) -> Result<(), Fault> {
        let _alone = self.erasing.lock().expect("nothing panics under this lock");
        if accepted_before_ms > self.erased.before_ms(&cookie) {
            let mut batch = self.batch(1);
            batch.insert(&self.erasures, cookie, record::encode(accepted_before_ms));
            self.commit_synced(batch)?;
            // From here on nothing older is put or shown, so the entries below are only room to be won.
            self.erased.raise(cookie, accepted_before_ms);
        }
        self.remove_erased(&cookie)
    }

    fn remove_erased(&self, cookie: &CookieHash) -> Result<(), Fault> {
        let before_ms = self.erased.before_ms(cookie);
        let mut batch = self.batch(ERASED_AT_ONCE);
        for guard in self.profiles.prefix(cookie) {
            let (key, packed) = guard.into_inner().map_err(Fault::of_read)?;
            if accepted_ms(&packed) < before_ms {
                batch.remove(&self.profiles, key);
            }
            if batch.len() == ERASED_AT_ONCE {
                self.commit(std::mem::replace(&mut batch, self.batch(ERASED_AT_ONCE)))?;
            }
        }
        self.commit(batch)?;
        self.flush_if_large(&self.profiles)
    }
}

/// When a packed tag was accepted.
pub(crate) fn accepted_ms(packed: &[u8]) -> u64 {
    packed.iter().take(ACCEPTED_BYTES).fold(0, |ms, &byte| ms << 8 | u64::from(byte))
}

/// Whose list this is.
pub(crate) fn cookie_of(key: &[u8]) -> Option<CookieHash> {
    key.first_chunk().copied()
}

fn hash(cookie: &Cookie) -> CookieHash {
    let hash = blake3::hash(cookie.0.as_bytes());
    *hash.as_bytes().first_chunk().expect("16 of 32 bytes")
}

fn key(cookie: &CookieHash, action: Action, instant: Instant, identity: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..COOKIE_BYTES].copy_from_slice(cookie);
    key[COOKIE_BYTES] = action.code();
    let newest_first = instant.to_ordered_bytes().map(|byte| !byte);
    key[LIST_BYTES..LIST_BYTES + INSTANT_BYTES].copy_from_slice(&newest_first);
    key[LIST_BYTES + INSTANT_BYTES..].copy_from_slice(&identity.to_be_bytes());
    key
}

fn instant_of(key: &[u8]) -> Result<Instant, store::Error> {
    let bytes: &[u8; INSTANT_BYTES] = key
        .get(LIST_BYTES..LIST_BYTES + INSTANT_BYTES)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| store::Error::Damaged("a profile's key".into()))?;
    Ok(Instant::from_ordered_bytes(bytes.map(|byte| !byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_newest_first_then_by_identity() {
        let cookie = hash(&Cookie("a".into()));
        let key = |ms, identity| key(&cookie, Action::Buy, Instant::from_ms(ms), identity);
        let sorted = [
            key(i64::MAX, 5),
            key(1, 0),
            key(1, 1),
            key(1, u64::MAX),
            key(0, 0),
            key(-1, 7),
            key(i64::MIN, 0),
        ];
        assert!(sorted.is_sorted());
        for ms in [i64::MIN, -62_167_219_200_000, -1, 0, 253_402_300_799_999, i64::MAX] {
            assert_eq!(instant_of(&key(ms, 3)).unwrap(), Instant::from_ms(ms));
        }
    }
}
