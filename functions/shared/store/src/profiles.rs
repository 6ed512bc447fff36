//! The port to profiles.

use std::future::Future;

use model::{Action, Cookie, Instant, TimeRange};

use crate::Error;

/// How many of the newest tags of a cookie and action are kept, by event time.
pub const KEPT_TAGS: usize = 200;

/// The newest tags of each shopper: a list of views and a list of buys for each cookie.
///
/// A list holds the union of everything that was put into it, in the order of time and identity, and may be trimmed to
/// its newest [`KEPT_TAGS`] at any time. So puts are idempotent and commute.
pub trait ProfileStore: Send + Sync + 'static {
    /// Puts these entries. When it returns, every later read sees them. Entries accepted before their cookie's erasure
    /// are dropped without a word.
    fn put(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Error>> + Send;

    /// The newest `limit` (at most [`KEPT_TAGS`] are promised) entries of a list inside the range, newest first; equal
    /// times in the order of identities.
    fn newest(
        &self,
        cookie: &Cookie,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredTag>, Error>> + Send;

    /// Removes the entries of a cookie that were accepted before this time, for ever: when they are put again, they are
    /// dropped. The largest of a cookie's erasures counts, so erasures are idempotent and commute with puts.
    fn erase(
        &self,
        cookie: &Cookie,
        accepted_before_ms: u64,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// One tag to be put into a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose list.
    pub cookie: Cookie,
    /// Which list.
    pub action: Action,
    /// When.
    pub instant: Instant,
    /// Tells two tags of one millisecond apart; the same tag comes with the same identity again. A tag whose sender gave it
    /// an identity may have been accepted more than once: it counts as accepted at any one of these times.
    pub identity: u64,
    /// When its batch was accepted; `packed` says so too.
    pub accepted_ms: u64,
    /// A [`model::PackedTag`].
    pub packed: Vec<u8>,
}

/// One tag of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTag {
    /// When.
    pub instant: Instant,
    /// A [`model::PackedTag`], as it was put.
    pub packed: Vec<u8>,
}

impl<S: ProfileStore> ProfileStore for std::sync::Arc<S> {
    fn put(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).put(entries)
    }

    fn newest(
        &self,
        cookie: &Cookie,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredTag>, Error>> + Send {
        (**self).newest(cookie, action, range, limit)
    }

    fn erase(
        &self,
        cookie: &Cookie,
        accepted_before_ms: u64,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).erase(cookie, accepted_before_ms)
    }
}
